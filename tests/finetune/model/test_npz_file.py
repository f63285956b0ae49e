"""The .npz itself: numpy reads what is written here, and the other way round, in blocks and without pickle."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype

from finetune.model.npz_file import ArrayToWrite, array_names, open_npz, write_npz
from finetune.settings import Precision

STORED = {Precision.fp32: "<f4", Precision.fp16: "<f2", Precision.bf16: "<u2"}


@st.composite
def typed_arrays(draw: st.DrawFn) -> tuple[Precision, np.ndarray]:
    precision = draw(st.sampled_from(list(Precision)))
    item_type = np.dtype(STORED[precision])
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return precision, draw(arrays(item_type, tuple(shape), elements=from_dtype(item_type)))


@given(array=typed_arrays(), rows=st.none() | st.integers(1, 6))
def test_what_is_written_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, array: tuple[Precision, np.ndarray], rows: int | None
) -> None:
    precision, values = array
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    halves = np.array_split(values, 2)
    write_npz(path, [ArrayToWrite(name="a/b", shape=values.shape, dtype=precision, blocks=halves)])
    file = open_npz(path, setting="x")
    assert file.arrays["a/b"].shape == values.shape
    assert file.arrays["a/b"].dtype is precision
    assert np.concatenate(list(file.blocks("a/b", rows))).tobytes() == values.tobytes()
    assert np.load(path)["a/b"].tobytes() == values.tobytes()


def test_bfloat16_is_two_bytes_of_no_type(tmp_path: Path) -> None:
    values = np.array([[0x3F80, 0xC000]], dtype="<u2")
    write_npz(tmp_path / "x.npz", [ArrayToWrite(name="a", shape=(1, 2), dtype=Precision.bf16, blocks=[values])])
    stored = np.load(tmp_path / "x.npz")["a"]
    assert stored.dtype == np.dtype("V2")
    assert (stored.view("<u2") == values).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_numpys_own_forms_are_read(tmp_path: Path, save: object, order: str) -> None:
    values = np.asarray(np.arange(24, dtype=np.float32).reshape(4, 3, 2), order=order)  # type: ignore[call-overload]
    save(tmp_path / "x.npz", a=values)  # type: ignore[operator]
    file = open_npz(tmp_path / "x.npz", setting="x")
    assert [block.shape for block in file.blocks("a", 3)] == [(3, 3, 2), (1, 3, 2)]
    assert (np.concatenate(list(file.blocks("a", 3))) == values).all()
    assert (next(file.blocks("a")) == values).all()


@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_the_tree_of_the_weights_is_found(tmp_path: Path, tree: str) -> None:
    beside = {"chrono/step": np.zeros(1, np.float32)} if tree else {}
    np.savez(tmp_path / "x.npz", **{f"{tree}a/b": np.ones(2, np.float32)}, **beside)
    file = open_npz(tmp_path / "x.npz", setting="x")
    assert (file.prefix, list(file.arrays)) == (tree, ["a/b"])
    assert next(file.blocks("a/b")).tolist() == [1, 1]


@pytest.mark.parametrize("values", [np.zeros(2), np.zeros(2, np.int32), np.zeros(2, ">f4")], ids=["f8", "i4", ">f4"])
def test_an_array_of_another_type_is_refused_by_name(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "x.npz", good=np.zeros(1, np.float32), bad=values)
    with pytest.raises(ValueError, match=r"model\.path: .*x\.npz: the array bad is of type"):
        open_npz(tmp_path / "x.npz", setting="model.path")


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="the array bad holds Python objects, which are never unpickled"):
        open_npz(tmp_path / "x.npz", setting="model.path")


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.path: there is no file"):
        array_names(tmp_path / "x.npz", setting="model.path")
    (tmp_path / "x.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"is no \.npz"):
        array_names(tmp_path / "x.npz", setting="model.path")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", b"not an array")
    with pytest.raises(ValueError, match="the array a cannot be read"):
        open_npz(tmp_path / "x.npz", setting="model.path")


def test_a_flipped_bit_is_noticed_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(1000, dtype=np.float32))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    file = open_npz(path, setting="model.path")
    with pytest.raises(ValueError, match="the array a cannot be read"):
        list(file.blocks("a"))


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(1000, dtype=np.float32))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="or was cut off"):
        open_npz(path, setting="model.path")
