import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.marvl import Marvl
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "marvl"


def test_a_caption_comes_with_the_left_and_the_right_image_of_its_concept() -> None:
    sample = Marvl(root=str(ASSET)).open("ta")[0]
    assert sample.question == "இரு பானைகள்."
    assert [image.name for image in sample.images] == [
        f"marvl-images/ta/images/26-தைப்பொங்கல்/26-{number}.jpg" for number in (0, 8)
    ]


def test_labels_are_said_in_the_words_of_nlvr2() -> None:
    source = Marvl(root=str(ASSET)).open("id")
    assert [source[index].answers for index in (0, 1)] == [("True",), ("False",)]


def test_a_language_tells_scores_apart_and_does_not_change_the_prompts_words() -> None:
    dataset = Marvl(root=str(ASSET))
    source = dataset.open(dataset.eval_split)
    samples = [source[index] for index in range(len(source))]
    assert [sample.category for sample in samples[::2]] == ["id", "sw", "ta", "tr", "zh"]
    assert {sample.language for sample in samples} == {None}
    assert len({sample.sample_id for sample in samples}) == 10


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'en'"):
        Marvl(root=str(ASSET)).open("en")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"marvl-annotations/marvl-sw.jsonl .*marvl-challenge.github.io"):
        Marvl(root=str(tmp_path)).open("sw")


@pytest.mark.parametrize(
    ("change", "field_name"),
    [({"label": "true"}, "label"), ({"concept": None}, "concept"), ({"right_img": "1.jpg"}, "images")],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "marvl-annotations" / "marvl-tr.jsonl"
    first, second = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | change)}\n{second}\n", encoding="utf-8")
    source = Marvl(root=str(root)).open("tr")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert (refusal.value.origin, refusal.value.field_name) == ("marvl-tr.jsonl: caption tr-0", field_name)
    assert source[1].answers == ("False",)
