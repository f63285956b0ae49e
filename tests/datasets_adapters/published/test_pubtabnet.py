"""PubTabNet, on tables made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.pubtabnet import PubTabNet
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "pubtabnet"


def test_a_row_is_a_table_with_its_cells_put_in_and_their_boxes_by_number() -> None:
    sample = PubTabNet(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "PMC0000001_001_00.png"
    assert sample.text == (
        '<table><thead><tr><td colspan="2"><b>A&lt;B</b></td></tr></thead>'
        "<tbody><tr><td></td><td>7</td></tr></tbody></table>"
    )
    boxes = sample.instances or ()
    assert [box.label for box in boxes] == ["0", "2"]
    assert boxes[1].box.to_xyxy_pixels((48, 64)) == pytest.approx((40, 30, 46, 38))


def test_lines_belong_to_their_split_in_whatever_order_their_fields_stand() -> None:
    source = PubTabNet(root=str(ASSET)).open("train+val")
    names = [source[index].sample_id for index in range(len(source))]
    assert names == [f"PMC000000{number}_001_00.png" for number in (1, 2, 4, 3)]
    with pytest.raises(IndexError):
        PubTabNet(root=str(ASSET)).open("val")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": []}, "html: has 3 <td> and 0 cells"),
        ({"cells": [{"tokens": "A"}] * 3}, "html: must have structure and cells"),
        (
            {"cells": [{"tokens": ["A"], "bbox": [1, 2, 900, 9]}] * 3},
            r"cells\[0\].bbox: box from .* leaves the 64 x 48",
        ),
        ({"structure": None}, "html: must have structure and cells"),
    ],
)
def test_a_broken_table_is_refused_by_line_and_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "PubTabNet_2.0.0.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[0])
    row["html"] |= change
    path.write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n")
    with pytest.raises(BadSampleError, match=rf"PubTabNet_2.0.0.jsonl:1: table PMC0000001_001_00.png: {message}"):
        PubTabNet(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_file_split_or_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no PubTabNet_2.0.0.jsonl.*ajimeno/PubTabNet"):
        PubTabNet(root=str(tmp_path)).open("train")
    (tmp_path / "PubTabNet_2.0.0.jsonl").write_text('{"split": "val"}\n')
    with pytest.raises(ValueError, match="has no line of the split 'train'"):
        PubTabNet(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'test'"):
        PubTabNet(root=str(ASSET)).open("test")
