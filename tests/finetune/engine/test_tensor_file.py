"""Our tensor files are safetensors files: the library reads them, and writes the same bytes."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.engine import tensor_file
from finetune.engine.tensor_file import write_tensors

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


def same(one: Tensor, other: Tensor) -> bool:
    is_alike = one.dtype == other.dtype and one.shape == other.shape
    return is_alike and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shapes=st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 4), max_size=3)),
        max_size=5,
    )
)
def test_every_tensor_comes_back_bit_for_bit_through_the_library(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[torch.dtype, list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "x.safetensors"
    tensors = {name: (torch.randn(shape) * 9).to(dtype) for name, (dtype, shape) in shapes.items()}
    record = write_tensors(path, tensors, moment="trained")
    content = path.read_bytes()
    assert (record.bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(same(loaded[name], tensor) for name, tensor in tensors.items())


def test_the_bytes_are_those_of_the_librarys_own_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "_CHUNK_BYTES", 8)
    tensors = {
        "b": torch.randn(3, 5),
        "a": torch.randn(2, dtype=torch.bfloat16),
        "c": torch.tensor(3, dtype=torch.int64),
    }
    write_tensors(tmp_path / "ours", tensors, moment="trained")
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_parts_of_a_tensor_and_shared_memory_are_written_whole(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"column": whole[:, 1], "turned": whole.T, "again": whole, "nan": torch.tensor([float("nan")])}
    write_tensors(tmp_path / "x", tensors, moment="trained")
    assert all(same(tensor, tensors[name].contiguous()) for name, tensor in load_file(tmp_path / "x").items())


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a week of work")
    with pytest.raises(FileExistsError):
        write_tensors(tmp_path / "x", {"a": torch.ones(1)}, moment="trained")
