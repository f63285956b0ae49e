"""Tensors as a safetensors file, written piece by piece.

    8 bytes: length of the header | header as JSON | the tensors' bytes, one after another

The library's own writer gathers everything in memory first and reports the system's errors as text. Its reader reads
these files, whose layout is the one that it writes: wide formats first, then by name.

Source:
    safetensors 0.8, `README.md`, "Format"; `tensor.rs`, `prepare`.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finetune.engine.durable import FileRecord, write_chunks

_FORMATS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8
_CHUNK_BYTES = 16 << 20


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, moment: str) -> FileRecord:
    """Write a new safetensors file, force it to the disk and return its fingerprint. Arguments as of `write_chunks`.

    Raises:
        OSError: As the system says it.
    """
    empty = [name for name, tensor in tensors.items() if tensor.numel() == 0]
    assert not empty, f"tensors without elements, as a sharded model shows them, cannot be resumed: {empty}"
    return write_chunks(path, _chunks(tensors), moment=moment)


def _chunks(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    yield _header([(name, tensors[name]) for name in names])
    for name in names:
        content = _bytes_of(tensors[name])
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES]


def _bytes_of(tensor: Tensor) -> memoryview:
    """Return a tensor's bytes, without a copy where it is on the CPU already."""
    array: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(array)


def _header(named: list[tuple[str, Tensor]]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in named:
        start, end = end, end + tensor.nbytes
        entries[name] = {"dtype": _FORMATS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
