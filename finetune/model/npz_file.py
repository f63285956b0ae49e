"""An .npz file one block at a time: what is in memory is a block, never the file. Imports without torch.

The file is a zip archive of .npy members. Both numpy's own forms are read, stored (np.savez) and deflated
(np.savez_compressed), and the archive's checksums are verified on the way. Nothing is unpickled.

numpy has no bfloat16: the original writes it as two bytes of no type (`|V2`), which are uint16 here.
"""

import math
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy

from finetune.settings import Precision

_ItemType = np.dtype[Any]

# What stands before the names of the weights in a checkpoint, by precedence; nothing does where it holds them alone.
_TREES = ("params/", "opt/target/")
_SUFFIX = ".npy"
_PIECE_BYTES = 1 << 22
_DESCRIPTIONS = {Precision.fp32: "<f4", Precision.fp16: "<f2", Precision.bf16: "|V2"}
_ITEM_TYPES: dict[Precision, _ItemType] = {
    Precision.fp32: np.dtype("<f4"),
    Precision.fp16: np.dtype("<f2"),
    Precision.bf16: np.dtype("<u2"),
}
# What the archive says when its bytes are not what was written, or were written in a way that is not readable.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """What a member's header says."""

    shape: tuple[int, ...]
    dtype: Precision
    is_fortran: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzFile:
    """The arrays of one tree of a file, by their names in it.

    Args:
        setting: What messages call the file, such as "model.path".
        prefix: Stands before every name in the file: "params/", "opt/target/" or "".
    """

    path: Path
    setting: str
    prefix: str
    arrays: Mapping[str, StoredArray]

    def blocks(self, name: str, rows: int | None = None) -> Iterator[np.ndarray]:
        """Yield an array in blocks of so many rows of its first axis; None: in one piece.

        Raises:
            ValueError: If the file is damaged there.
        """
        array = self.arrays[name]
        item_type = _ITEM_TYPES[array.dtype]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.prefix + name + _SUFFIX) as member:
                _skip_header(member)
                if rows is None or array.is_fortran:
                    whole = _read(member, item_type, array.shape, "F" if array.is_fortran else "C")
                    yield from [whole] if rows is None else _split(whole, rows)
                else:
                    for start in range(0, array.shape[0], rows):
                        stop = min(start + rows, array.shape[0])
                        yield _read(member, item_type, (stop - start, *array.shape[1:]), "C")
        except _DAMAGE as error:
            raise ValueError(f"{self.setting}: {self.path}: the array {name} cannot be read ({error})") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayToWrite:
    """An array whose blocks, one after another along its first axis, are computed while it is written."""

    name: str
    shape: tuple[int, ...]
    dtype: Precision
    blocks: Iterable[np.ndarray]


def open_npz(path: Path, *, setting: str) -> NpzFile:
    """Read the headers of an .npz: of the tree that holds the weights.

    Raises:
        ValueError: If the file is missing, no .npz, or holds an array that is not read, by name.
    """
    names = array_names(path, setting=setting)
    with zipfile.ZipFile(path) as archive:
        prefix = tree_of(names)
        members = [name for name in names if name.startswith(prefix)]
        arrays = {name.removeprefix(prefix): _read_header(archive, name, path, setting) for name in members}
    return NpzFile(path=path, setting=setting, prefix=prefix, arrays=arrays)


def tree_of(names: Collection[str]) -> str:
    """Return what stands before the weights' names: `params/`, else `opt/target/`, else nothing.

    Source:
        big_vision utils.py, `load_params` (0127fb6): which tree of a checkpoint is the weights.
    """
    return next((tree for tree in _TREES if any(name.startswith(tree) for name in names)), "")


def array_names(path: Path, *, setting: str) -> list[str]:
    """Return the names of all arrays of an .npz, as they are in the file.

    Raises:
        ValueError: If the file is missing or no .npz.
    """
    if not path.is_file():
        raise ValueError(f"{setting}: there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{setting}: {path} is no .npz (a zip archive of .npy arrays), or was cut off")
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX)]


def write_npz(path: Path, arrays: Iterable[ArrayToWrite]) -> None:
    """Write an uncompressed .npz, as np.savez does, block by block."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for array in arrays:
            # Sizes are known only at the end, and an array may pass the 2 GiB of the old format.
            with archive.open(array.name + _SUFFIX, "w", force_zip64=True) as member:
                header = {"descr": _DESCRIPTIONS[array.dtype], "fortran_order": False, "shape": array.shape}
                npy.write_array_header_1_0(member, header)
                num_values = 0
                for block in array.blocks:
                    contiguous = np.ascontiguousarray(block, dtype=_ITEM_TYPES[array.dtype])
                    member.write(contiguous.reshape(-1).view(np.uint8).data)
                    num_values += block.size
                assert num_values == math.prod(array.shape), array.name


def _read_header(archive: zipfile.ZipFile, name: str, path: Path, setting: str) -> StoredArray:
    try:
        with archive.open(name + _SUFFIX) as member:
            shape, is_fortran, item_type = _skip_header(member)
    except (*_DAMAGE, ValueError) as error:
        raise ValueError(f"{setting}: {path}: the array {name} cannot be read ({error})") from None
    if item_type.hasobject:
        raise ValueError(f"{setting}: {path}: the array {name} holds Python objects, which are never unpickled")
    for precision, description in _DESCRIPTIONS.items():
        # "<V2" is what newer writers of bfloat16 say.
        if item_type.str in (description, description.replace("|", "<")):
            return StoredArray(shape=shape, dtype=precision, is_fortran=is_fortran)
    raise ValueError(
        f"{setting}: {path}: the array {name} is of type {item_type.str}; float32, float16 and bfloat16 (two bytes "
        "of no type, |V2) are read"
    )


def _skip_header(member: _Readable) -> tuple[tuple[int, ...], bool, _ItemType]:
    """Read a member up to its first value; return shape, Fortran order and type."""
    version = npy.read_magic(member)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"a header of version {version} is not read")
    shape, is_fortran, item_type = read(member)
    return tuple(shape), bool(is_fortran), item_type


def _read(member: _Readable, item_type: _ItemType, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    """Read the next values into memory of their own, in small pieces: the archive returns copies."""
    flat = np.empty(math.prod(shape), dtype=item_type)
    content = flat.view(np.uint8).data
    start = 0
    while start < len(content):
        piece = member.read(min(_PIECE_BYTES, len(content) - start))
        if not piece:
            raise EOFError(f"{len(content)} bytes are needed, {start} are there")
        content[start : start + len(piece)] = piece
        start += len(piece)
    return flat.reshape(shape, order=order)


def _split(whole: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    for start in range(0, whole.shape[0], rows):
        yield whole[start : start + rows]
