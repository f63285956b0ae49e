import pickle

import pytest

from datasets_adapters.published.rows import Row, pack_rows, public_id, texts_under
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError, Sample

PLACE = RowPlace(origin="train.json: question 7", sample_id="7")
ROWS: list[Row] = [{"id": 7, "text": "naïve ☃"}, {"id": "b", "text": "half \ud83d of a pair"}, {"text": "nameless"}]


def read(row: Row, place: RowPlace) -> Sample:
    return Sample(sample_id=place.sample_id, origin=place.origin, images=(), text=row["text"])


def test_packed_rows_come_back_as_they_were_named_by_file_and_id() -> None:
    source = pack_rows(ROWS, read=read, file="train.json", unit="question", id_key="id")
    samples = [source[index] for index in range(len(source))]
    assert [sample.text for sample in samples] == [row["text"] for row in ROWS]
    assert [sample.sample_id for sample in samples] == ["7", "b", "2"]
    assert samples[0].origin == "train.json: question 7"
    assert source.block_size is None


def test_a_source_goes_to_the_loaders_processes() -> None:
    source = pack_rows(ROWS, read=read, file="train.json", unit="question", id_key="id")
    assert pickle.loads(pickle.dumps(source))[0] == source[0]


def test_a_split_without_rows_is_empty() -> None:
    assert len(pack_rows([], read=read, file="train.json", unit="question", id_key="id")) == 0


@pytest.mark.parametrize("index", [-1, 3])
def test_a_row_outside_is_an_index_error(index: int) -> None:
    source = pack_rows(ROWS, read=read, file="train.json", unit="question", id_key="id")
    with pytest.raises(IndexError, match="the split has 3 rows"):
        source[index]


def test_texts_are_taken_out_of_their_objects() -> None:
    assert texts_under([{"answer": "a"}, {"answer": "b", "more": 1}], "answer", "answers", PLACE) == ("a", "b")


@pytest.mark.parametrize(
    ("value", "field_name"),
    [(None, "answers"), (["a"], "answers"), ([{"answer": 3}], "answers[0].answer"), ([{}], "answers[0].answer")],
)
def test_texts_that_are_none_are_refused_by_their_place(value: object, field_name: str) -> None:
    with pytest.raises(BadSampleError, match="question 7") as refusal:
        texts_under(value, "answer", "answers", PLACE)
    assert (refusal.value.field_name, refusal.value.code) == (field_name, "wrong-type")


@pytest.mark.parametrize("value", [7, "7", 10**30])
def test_an_id_stays_what_its_server_knows(value: int | str) -> None:
    found = public_id({"id": value}, "id", PLACE)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("value", [None, "", [7], {}, True, 1.5])
def test_what_is_no_id_is_refused(value: object) -> None:
    with pytest.raises(BadSampleError, match="question 7: id: must"):
        public_id({"id": value}, "id", PLACE)
