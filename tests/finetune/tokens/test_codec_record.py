"""Which codec a folder's weights speak."""

from pathlib import Path

import pytest

from finetune.tokens.codec_record import FILE_NAME, CodecRecord, read_record, record_of, write_record
from finetune.tokens.segmentation import CodecChoice, choose_codec

RECORD = CodecRecord(name="mine.npz", sha256="ab" * 32)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert str(RECORD) == "mine.npz (abababababab)"


def test_the_content_counts_and_not_the_name() -> None:
    choice = CodecChoice(name="/home/me/codecs/mine.npz", path=Path("/home/me/codecs/mine.npz"), sha256="ab" * 32)
    assert record_of(choice) == RECORD, "a folder may be moved, and published"
    assert RECORD.is_same_as(CodecRecord(name="other", sha256="ab" * 32))
    assert not RECORD.is_same_as(record_of(choose_codec("embedded")))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "a"}'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ValueError, match=r"mask_codec.json is damaged"):
        read_record(tmp_path)
