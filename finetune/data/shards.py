"""Tensors of one shape, kept on disk by key: what many processes read, and add to, across epochs and runs.

    pixels-5f2b8c1d0c9d3e71/     one folder for each way of making the values
        about.json               that way, for people
        3f0c91d2….safetensors    a shard: "values" [entries, ...], and in its header the entries' keys, facts and checks

A shard is written under another name, forced to the disk and renamed: one that can be seen is whole, whoever was
killed when. Each entry has a check (CRC-32 of key, facts and value), because a flipped bit in a tensor goes unnoticed
otherwise. Processes need no lock: two that make the same value write it twice, and either is read.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import util
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

# A shard is closed when it has so many bytes, or when its first entry has waited for so long.
_SHARD_BYTES = 32 << 20
_FLUSH_SECONDS = 30.0
_STALE_SECONDS = 3600.0
_FORMAT = 1
_GIB = 1 << 30


class DamagedShardError(ValueError):
    """A shard is not what was written. It has been removed, so that its values are made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A value with the facts that were put beside it."""

    value: Tensor
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry lies: its shard, the first byte of its value, its check, and its facts."""

    path: Path
    offset: int
    check: int
    facts: Mapping[str, Any]


class ShardStore:
    """The values that one way of making them gave so far. Picklable: each process keeps an index of its own.

    Args:
        parent: The user's folder; the store's own lies in it.
        kind: First part of the folder's name.
        shape, dtype: Of each value.
        about: Everything that decides what a value is, besides its key: stores that differ in it share nothing.
    """

    def __init__(
        self, parent: Path, kind: str, *, shape: tuple[int, ...], dtype: torch.dtype, about: Mapping[str, object]
    ) -> None:
        # Shards may be written as late as at the process's end, when it may stand in another folder.
        self.parent, self.kind, self.shape, self.dtype = parent.absolute(), kind, shape, dtype
        self.about = {**about, "shape": list(shape), "dtype": str(dtype).removeprefix("torch."), "format": _FORMAT}
        digest = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()
        self.folder = self.parent / f"{kind}-{digest[:16]}"
        self._places: dict[str, _Place] = {}
        self._seen: set[str] = set()
        self._listed_at = -1
        self._waiting: dict[str, Kept] = {}
        self._waiting_since = 0.0
        self._is_flushed_at_exit = False

    def __reduce__(self) -> tuple[object, ...]:
        # The index may be large and what waits belongs to this process: another one starts from the folder.
        return _reopened, (self.parent, self.kind, self.shape, self.dtype, self.about)

    @property
    def value_bytes(self) -> int:
        """Bytes of one value."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    def __len__(self) -> int:
        """Return how many values are on disk."""
        self._list()
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        """Tell whether a value is there, or waits to be written by this process."""
        if key not in self._places and key not in self._waiting:
            self._list()
        return key in self._places or key in self._waiting

    def get(self, key: str) -> Kept | None:
        """Return a value; None where it is not there.

        Raises:
            DamagedShardError: If it was there and is damaged.
        """
        if key not in self:
            return None
        if (waiting := self._waiting.get(key)) is not None:
            return waiting
        place, data = self._places[key], bytearray(self.value_bytes)
        try:
            with place.path.open("rb") as file:
                file.seek(place.offset)
                num_read = file.readinto(data)
        except OSError:
            # Another process found damage and removed it, or the disk is away: it can be made again.
            self._forget(place.path)
            return None
        if num_read != len(data) or _check(key, place.facts, data) != place.check:
            self._remove(place.path)
            raise DamagedShardError(f"{place.path} was damaged and has been removed")
        return Kept(value=torch.frombuffer(data, dtype=self.dtype).view(self.shape), facts=place.facts)

    def put(self, key: str, value: Tensor, facts: Mapping[str, Any]) -> None:
        """Keep a value: in memory at once, and on disk with the next shard.

        Raises:
            OSError: If a shard was due and could not be written; what it held is no longer waiting.
        """
        assert (value.shape, value.dtype) == (self.shape, self.dtype), f"{value.shape} {value.dtype}"
        if not self._waiting:
            self._waiting_since = time.monotonic()
        if not self._is_flushed_at_exit:
            # Unlike atexit, this is also run in processes that multiprocessing started.
            util.Finalize(None, _flush_at_exit, args=(self,), exitpriority=10)
            self._is_flushed_at_exit = True
        self._waiting[key] = Kept(value=value.contiguous(), facts=facts)
        is_late = time.monotonic() - self._waiting_since > _FLUSH_SECONDS
        if is_late or len(self._waiting) * self.value_bytes >= _SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits, but for what another process has written meanwhile.

        Raises:
            OSError: If nothing can be written.
        """
        self._list()
        waiting, self._waiting = self._waiting, {}
        entries = {key: kept for key, kept in waiting.items() if key not in self._places}
        if entries:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / "about.json", json.dumps(self.about, indent=1).encode())
            _write(self.folder / f"{os.urandom(16).hex()}.safetensors", _shard(entries))
            # Two changes in one tick of the disk's clock look like one.
            self._listed_at = -1

    def announce(self, num_values: int, *, setting: str) -> str:
        """Say how large the store may become, before anything is written; and clean up after writers that died.

        Args:
            num_values: The most that it will be asked for.

        Raises:
            ValueError: If the disk has no room for those that are missing.
        """
        num_there = len(self)
        missing_bytes = max(0, num_values - num_there) * self.value_bytes
        free_bytes = shutil.disk_usage(_existing(self.folder)).free
        size = f"{num_values:,} images x {self.value_bytes:,} bytes = {num_values * self.value_bytes / _GIB:.2f} GiB"
        if missing_bytes > free_bytes:
            raise ValueError(
                f"{setting}: up to {size}, and {self.folder} has room for {free_bytes / _GIB:.2f} GiB; name a folder "
                f"on a larger disk, or set {setting}=null"
            )
        self._remove_unfinished()
        return f"{setting}: up to {size} in {self.folder}; {num_there:,} images are there"

    def _list(self) -> None:
        """Take new shards into the index."""
        try:
            changed_at = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed_at == self._listed_at:
            return
        # What is renamed into the folder from here on changes the time again.
        self._listed_at = changed_at
        for path in self.folder.glob("*.safetensors"):
            if path.name not in self._seen:
                self._seen.add(path.name)
                self._index(path)

    def _index(self, path: Path) -> None:
        try:
            entries, first_byte = self._read_header(path)
        except OSError:
            return
        except (SafetensorError, ValueError, KeyError, TypeError):
            # Nobody renames an unfinished shard: the disk has changed it.
            self._remove(path)
            return
        for row, (key, check, facts) in enumerate(entries):
            offset = first_byte + row * self.value_bytes
            self._places[key] = _Place(path, offset, check, facts)

    def _read_header(self, path: Path) -> tuple[list[tuple[str, int, dict[str, Any]]], int]:
        """Return a shard's entries, and where its first value begins."""
        with safe_open(path, framework="pt") as shard:
            entries = [(str(key), int(check), dict(facts)) for key, check, facts in _entries_of(shard.metadata())]
            values = shard.get_slice("values")
            if list(values.get_shape()) != [len(entries), *self.shape]:
                raise ValueError(f"{path} holds values of another shape")
        with path.open("rb") as file:
            # safetensors: the header's length, the header, and the tensors, of which a shard has one.
            (header_bytes,) = struct.unpack("<Q", file.read(8))
        return entries, 8 + int(header_bytes)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._forget(path)

    def _forget(self, path: Path) -> None:
        self._places = {key: place for key, place in self._places.items() if place.path != path}

    def _remove_unfinished(self) -> None:
        """Remove what writers left behind that were killed; a living one takes seconds."""
        for path in self.folder.glob("*.unfinished"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


def _reopened(
    parent: Path, kind: str, shape: tuple[int, ...], dtype: torch.dtype, about: dict[str, object]
) -> ShardStore:
    return ShardStore(parent, kind, shape=shape, dtype=dtype, about=about)


def _flush_at_exit(store: ShardStore) -> None:
    # A cache that cannot be written costs time in the next run, and must not end this one.
    with contextlib.suppress(OSError):
        store.flush()


def _shard(entries: Mapping[str, Kept]) -> bytes:
    described = [(key, _check(key, kept.facts, _bytes(kept.value)), dict(kept.facts)) for key, kept in entries.items()]
    values = torch.stack([kept.value for kept in entries.values()])
    return save({"values": values}, metadata={"entries": json.dumps(described)})


def _entries_of(metadata: Mapping[str, str] | None) -> list[Any]:
    entries = json.loads((metadata or {})["entries"])
    if not isinstance(entries, list):
        raise ValueError("entries must be a list")
    return entries


def _check(key: str, facts: Mapping[str, Any], data: bytes | bytearray | memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(json.dumps([key, facts], sort_keys=True).encode()))


def _bytes(value: Tensor) -> memoryview:
    return value.reshape(-1).view(torch.uint8).numpy().data


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole whenever it can be seen."""
    unfinished = path.with_name(f"{os.urandom(16).hex()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _existing(folder: Path) -> Path:
    """Return the folder, or the innermost one around it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
