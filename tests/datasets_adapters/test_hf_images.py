from pathlib import Path

import pytest

from datasets_adapters.hf_images import read_image, read_images
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError, ImageBytes, ImageFile

datasets = pytest.importorskip("datasets")

PLACE = RowPlace(origin="rows[train] row 5", sample_id="row-5")


def test_an_encoded_image_is_called_by_its_path_or_by_its_column() -> None:
    assert read_image({"bytes": b"x", "path": "a.png"}, None, "image", PLACE) == ImageBytes(name="a.png", data=b"x")
    assert read_image({"bytes": b"x", "path": None}, None, "masks[3]", PLACE) == ImageBytes(name="masks[3]", data=b"x")


def test_a_file_that_the_library_fetched_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    for name in ("cache/a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    fetched = tmp_path / "cache" / "a.png"
    assert read_image(str(fetched), None, "image", PLACE) == ImageFile(name=str(fetched), path=fetched)
    for path in (tmp_path / "b.png", tmp_path / "cache" / "c.png"):
        with pytest.raises(BadSampleError, match=r"masks\[0\]: .*path-outside-folder"):
            read_image(str(path), None, "masks[0]", PLACE)


def test_one_image_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    file = ImageFile(name="a.png", path=tmp_path / "a.png")
    assert read_images("a.png", tmp_path, "image", PLACE) == (file,)
    assert read_images(["a.png", "a.png"], tmp_path, "image", PLACE) == (file, file)
