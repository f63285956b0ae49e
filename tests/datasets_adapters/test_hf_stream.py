import os
import pickle
from typing import Any

import pytest

from datasets_adapters.hf_stream import StreamedRows

datasets = pytest.importorskip("datasets")


def _counting_stream(num_rows: int, counter: list[int]) -> "datasets.IterableDataset":
    def generate() -> Any:
        for index in range(num_rows):
            counter[0] += 1
            yield {"value": index}

    return datasets.IterableDataset.from_generator(generate)


def test_a_stream_reads_each_block_once_and_starts_again_for_an_earlier_one() -> None:
    counter = [0]
    stream = StreamedRows(rows=_counting_stream(20, counter), num_rows=20, block_size=5)
    assert [stream[index]["value"] for index in (3, 0, 4, 2, 1)] == [3, 0, 4, 2, 1]
    assert counter[0] <= 6
    assert [stream[index]["value"] for index in (9, 5, 17, 19)] == [9, 5, 17, 19]
    assert counter[0] <= 21
    assert stream[2]["value"] == 2


def test_a_stream_that_ends_early_says_so() -> None:
    stream = StreamedRows(rows=_counting_stream(7, [0]), num_rows=20, block_size=5)
    assert stream[6]["value"] == 6
    with pytest.raises(ValueError, match="ended after 7 of 20 rows"):
        stream[8]


def test_a_stream_starts_again_in_another_process() -> None:
    stream = StreamedRows(rows=_counting_stream(20, [0]), num_rows=20, block_size=5)
    assert stream[7]["value"] == 7
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, str(stream[12]["value"]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read_end, 10) == b"12"
    assert stream[12]["value"] == 12
    os.close(read_end)
    os.close(write_end)


def test_a_copy_starts_again() -> None:
    rows = datasets.Dataset.from_dict({"value": list(range(20))}).to_iterable_dataset()
    stream = StreamedRows(rows=rows, num_rows=20, block_size=5)
    assert stream[12]["value"] == 12
    copy = pickle.loads(pickle.dumps(stream))
    assert (len(copy), copy.block_size, copy[3]["value"]) == (20, 5, 3)
