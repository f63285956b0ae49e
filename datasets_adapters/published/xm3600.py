"""Crossmodal-3600 (Thapliyal et al., 2022): 3600 photographs from all over the world, captioned in 36 languages.

    captions.jsonl   {"image/key": "000411001ff7dd4f", "image/locale": "…", "en": {"caption": ["…"],
                      "caption/tokenized": ["…"], "caption/tokenized/lowercase": ["…"]}, "ar": {…}, …}
    images/000411001ff7dd4f.jpg

Source:
    https://google.github.io/crossmodal-3600; big_vision datasets/xm3600/xm3600.py (0127fb6).
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.languages import XM3600_LANGUAGES
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_text, read_texts
from finetune.published import DataCard
from finetune.types import Sample

_FILE = "captions.jsonl"
_ALL = "test"


@dataclass(frozen=True, kw_only=True)
class Xm3600(PublishedDataset):
    """Captions to evaluate on, never to train on; each language of an image is a sample, told apart by its code.

    Args:
        root: Folder with captions.jsonl of captions.zip and the folder images of images.tgz, both from
            google.github.io/crossmodal-3600 (CC BY 4.0; images of Open Images, CC BY 2.0).
        train_split, eval_split: test for all languages, or the code of one, such as en, zh or quz, and sums of them.
        tokenized: Whether references are the captions in words, parted by spaces, as COCO-35L's are that a model was
            trained on. The original's builder brings them "to compute metrics", its published evaluation reads the
            captions as they were written.
    """

    card = DataCard(
        title="Crossmodal-3600",
        homepage="https://google.github.io/crossmodal-3600",
        licence="captions CC BY 4.0, images CC BY 2.0",
        counts={_ALL: 36 * 3_600} | dict.fromkeys(XM3600_LANGUAGES, 3_600),
        counts_source="https://google.github.io/crossmodal-3600: 3600 images, 36 languages",
    )
    splits = (_ALL, *XM3600_LANGUAGES)

    train_split: str = _ALL
    eval_split: str = _ALL
    tokenized: bool = False

    def _open_one(self, name: str) -> RowSource:
        images = list(read_json_lines(self.annotations(_FILE)))
        rows = [
            {
                "id": f"{image.get('image/key')}_{language}",
                "key": image.get("image/key"),
                "language": language,
                "captions": image.get(language),
            }
            for language in (XM3600_LANGUAGES if name == _ALL else (name,))
            for image in images
        ]
        return pack_rows(rows, read=self._read, file=_FILE, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        language, captions = row["language"], row["captions"]
        if not isinstance(captions, dict):
            place.refuse(language, "missing-annotation", f"must be an object of captions, got {quote(captions)}")
        kind = "caption/tokenized" if self.tokenized else "caption"
        name = f"images/{read_text(row['key'], 'image/key', place)}.jpg"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "image/key", place),),
            captions=read_texts(captions.get(kind), f"{language}.{kind}", place),
            language=language,
            category=language,
        )
