"""OK-VQA (Marino et al., 2019): questions about COCO's photographs that need outside knowledge, ten answers each.

    OpenEnded_mscoco_train2014_questions.json   {"questions": [{"question_id", "image_id", "question"}]}
    mscoco_train2014_annotations.json           {"annotations": [{"question_id", "question_type": "four",
                                                 "answers": [{"answer", "raw_answer", "answer_confidence"}]}]}
    train2014/COCO_train2014_000000051606.jpg

Five people answered twice each; `answer` is what is trained on and scored, `raw_answer` what they typed.

Source:
    big_vision datasets/okvqa/okvqa.py (0127fb6), which reads and checks these files. Counts: the card of
    HuggingFaceM4/OK-VQA; licence: its loading script.
"""

from dataclasses import dataclass

from datasets_adapters.published.vqa_files import VqaDataset, VqaFiles
from finetune.published import DataCard

_SPLITS = {
    name: VqaFiles(
        questions=f"OpenEnded_mscoco_{name}2014_questions.json",
        answers=f"mscoco_{name}2014_annotations.json",
        images=f"{name}2014",
    )
    for name in ("train", "val")
}


@dataclass(frozen=True, kw_only=True)
class OkVqa(VqaDataset):
    """Questions and answers of OK-VQA. What the paper scores as its test set is `val`.

    Args:
        root: Folder with OpenEnded_mscoco_*_questions.json and mscoco_*_annotations.json from
            okvqa.allenai.org/download.html (CC BY 4.0) and the folders train2014 and val2014 of COCO's images
            (cocodataset.org; Flickr's terms).
        train_split, eval_split: Of train and val, or slices and sums of them.
    """

    card = DataCard(
        title="OK-VQA",
        homepage="https://okvqa.allenai.org/download.html",
        licence="annotations CC BY 4.0, images under Flickr's terms",
        counts={"train": 9_009, "val": 5_046},
        counts_source="https://huggingface.co/datasets/HuggingFaceM4/OK-VQA",
    )
    splits = _SPLITS
