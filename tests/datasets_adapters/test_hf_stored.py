import io
import pickle

import pytest
from PIL import Image

from datasets_adapters.hf_stored import StoredRows

datasets = pytest.importorskip("datasets")


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (2, 1)).save(stream, "PNG")
    return stream.getvalue()


def _rows() -> StoredRows:
    features = datasets.Features(
        {
            "key": datasets.Value("string"),
            "pictures": datasets.List(datasets.Image()),
            "things": datasets.Sequence({"mask": datasets.Image(), "kind": datasets.ClassLabel(names=["ant"])}),
            "shapes": datasets.Json(),
        }
    )
    encoded = {"bytes": _png(), "path": None}
    shapes = [[[1, 2, 3, 4, 5, 6]], {"size": [1, 2], "counts": "x"}]
    row = {"key": "k", "pictures": [encoded] * 2, "things": {"mask": [encoded], "kind": [0]}, "shapes": shapes}
    rows = datasets.Dataset.from_dict({name: [value] * 3 for name, value in row.items()}, features=features)
    undecoded = datasets.Features(
        features
        | {
            "pictures": datasets.List(datasets.Image(decode=False)),
            "things": datasets.Sequence({"mask": datasets.Image(decode=False), "kind": features["things"]["kind"]}),
        }
    )
    return StoredRows(rows=rows, features=undecoded)


def test_images_stay_encoded_however_deep_they_lie_and_all_else_is_as_the_library_reads_it() -> None:
    rows = _rows()
    encoded = {"bytes": _png(), "path": None}
    assert len(rows) == len(list(rows)) == 3
    assert rows[2] == {
        "key": "k",
        "pictures": [encoded, encoded],
        "things": {"mask": [encoded], "kind": [0]},
        "shapes": [[[1, 2, 3, 4, 5, 6]], {"size": [1, 2], "counts": "x"}],
    }


def test_one_column_is_read_alone() -> None:
    assert _rows().column("key") == ["k", "k", "k"]


def test_stored_rows_travel_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(_rows()))[1] == _rows()[1]
