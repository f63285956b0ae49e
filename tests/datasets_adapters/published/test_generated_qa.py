"""What MSRVTT-QA and MSVD-QA have in common, on questions made up for this test."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.msrvtt_qa import MsrvttQa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "msrvtt_qa"


@pytest.mark.parametrize("field_name", ["question", "answer"])
def test_a_row_that_lacks_its_text_is_refused_by_file_and_id(tmp_path: Path, field_name: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "train_qa.json"
    rows = json.loads(path.read_text())
    del rows[1][field_name]
    path.write_text(json.dumps(rows))
    source = MsrvttQa(root=str(tmp_path / "copy")).open("train")
    assert source[0].sample_id == "0"
    with pytest.raises(BadSampleError, match=f"train_qa.json: question 1: {field_name}: must be text"):
        source[1]


def test_another_file_is_told_from_questions(tmp_path: Path) -> None:
    (tmp_path / "train_qa.json").write_text('{"questions": []}')
    with pytest.raises(ValueError, match="must be a list of objects; is it another file"):
        MsrvttQa(root=str(tmp_path)).open("train")
