import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from finetune.data import shards
from finetune.data.shards import DamagedShardError, ShardStore

SHAPE = (3, 4)


def store(parent: Path, about: Mapping[str, object] | None = None, dtype=torch.uint8, shape=SHAPE) -> ShardStore:
    return ShardStore(parent, "pixels", shape=shape, dtype=dtype, about=about or {"image_size": 4})


def value(number: int, dtype=torch.uint8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, SHAPE, generator=generator).to(dtype)


def filled(parent: Path, numbers=range(3), **how) -> ShardStore:
    written = store(parent, **how)
    for number in numbers:
        written.put(f"key{number}", value(number, written.dtype), {"size": [number, 2]})
    written.flush()
    return written


def shards_of(one: ShardStore) -> list[Path]:
    return sorted(one.folder.glob("*.safetensors"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16, torch.float16])
def test_what_was_put_is_read_bit_for_bit_with_its_facts(tmp_path, dtype):
    filled(tmp_path, dtype=dtype)
    other = store(tmp_path, dtype=dtype)
    assert len(other) == 3
    for number in range(3):
        kept = other.get(f"key{number}")
        assert torch.equal(kept.value, value(number, dtype))
        assert kept.value.dtype == dtype
        assert kept.facts == {"size": [number, 2]}
    assert other.get("key9") is None
    assert "key9" not in other


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(st.integers(0, 9), min_size=1, max_size=12), flushed=st.sets(st.integers(0, 11)))
def test_any_order_of_puts_and_flushes_keeps_every_value(tmp_path, seeds, flushed):
    shutil.rmtree(tmp_path)
    written = store(tmp_path)
    for place, seed in enumerate(seeds):
        written.put(f"key{seed}", value(seed), {})
        if place in flushed:
            written.flush()
        assert torch.equal(written.get(f"key{seed}").value, value(seed))
    written.flush()
    read = store(tmp_path)
    assert len(read) == len(set(seeds))
    assert all(torch.equal(read.get(f"key{seed}").value, value(seed)) for seed in seeds)


def test_a_store_that_is_not_there_is_empty_and_asking_makes_no_folder(tmp_path):
    empty = store(tmp_path)
    assert (len(empty), "a" in empty, empty.get("a")) == (0, False, None)
    empty.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_an_ordinary_safetensors_file_that_others_may_read(tmp_path):
    written = filled(tmp_path)
    (path,) = shards_of(written)
    with safe_open(path, framework="pt") as shard:
        assert list(shard.keys()) == ["values"]
        assert torch.equal(shard.get_tensor("values"), torch.stack([value(number) for number in range(3)]))
    beside = tmp_path / "ordinary"
    beside.touch()
    assert path.stat().st_mode == beside.stat().st_mode
    assert json.loads((written.folder / "about.json").read_text())["image_size"] == 4


def test_every_ingredient_shape_and_format_has_a_folder_of_its_own(tmp_path):
    ways = [
        store(tmp_path),
        store(tmp_path, about={"image_size": 8}),
        store(tmp_path, about={"image_size": 4, "resize": "hf"}),
        store(tmp_path, dtype=torch.bfloat16),
        store(tmp_path, shape=(4, 3)),
    ]
    assert len({way.folder for way in ways}) == len(ways)
    assert store(tmp_path, about={"b": 1, "a": 2}).folder == store(tmp_path, about={"a": 2, "b": 1}).folder


def test_a_shard_is_closed_when_it_is_large(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_SHARD_BYTES", 4 * 12)
    written = store(tmp_path)
    for number in range(10):
        written.put(f"key{number}", value(number), {})
    assert len(shards_of(written)) == 2
    assert len(store(tmp_path)) == 8
    assert len({written.get(f"key{number}").value.sum().item() for number in range(10)}) > 1


def test_a_shard_is_closed_when_its_first_entry_has_waited(tmp_path, monkeypatch):
    written = store(tmp_path)
    written.put("key0", value(0), {})
    monkeypatch.setattr(shards, "_FLUSH_SECONDS", 0.0)
    time.sleep(0.01)
    written.put("key1", value(1), {})
    assert len(store(tmp_path)) == 2


def test_two_stores_see_what_the_other_has_written_and_do_not_write_it_again(tmp_path):
    first, second = store(tmp_path), store(tmp_path)
    assert "key0" not in second
    filled_first = filled(tmp_path, range(2))
    assert torch.equal(second.get("key1").value, value(1))
    first.put("key1", value(1), {})
    first.put("key5", value(5), {})
    first.flush()
    assert len(shards_of(filled_first)) == 2
    with (
        safe_open(shards_of(filled_first)[0], framework="pt") as a,
        safe_open(shards_of(filled_first)[1], framework="pt") as b,
    ):
        assert sorted([len(a.get_tensor("values")), len(b.get_tensor("values"))]) == [1, 2]


def test_a_store_travels_to_another_process_without_what_waits(tmp_path):
    written = filled(tmp_path)
    written.put("key7", value(7), {})
    sent = pickle.loads(pickle.dumps(written))
    assert (sent.folder, sent.shape, sent.dtype) == (written.folder, written.shape, written.dtype)
    assert "key1" in sent
    assert "key7" not in sent


def damage(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("place", range(-36, 0, 7))
def test_a_flipped_bit_in_a_value_is_found_and_its_shard_removed(tmp_path, place):
    written = filled(tmp_path)
    (path,) = shards_of(written)
    damage(path, place)
    read = store(tmp_path)
    number = (36 + place) // 12
    with pytest.raises(DamagedShardError, match=path.name):
        read.get(f"key{number}")
    assert not path.exists()
    assert read.get(f"key{number}") is None
    read.put(f"key{number}", value(number), {})
    read.flush()
    assert torch.equal(store(tmp_path).get(f"key{number}").value, value(number))


def test_no_flipped_bit_of_a_header_gives_a_wrong_value(tmp_path):
    written = filled(tmp_path)
    (path,) = shards_of(written)
    whole = path.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    for place in range(0, 8 + header, 5):
        path.write_bytes(whole)
        damage(path, place)
        read = store(tmp_path)
        for number in range(3):
            try:
                kept = read.get(f"key{number}")
            except DamagedShardError:
                continue
            if kept is not None:
                assert torch.equal(kept.value, value(number)), place
                assert kept.facts == {"size": [number, 2]}, place


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_file_that_was_cut_by_the_disk_is_no_shard(tmp_path, length):
    written = filled(tmp_path)
    (path,) = shards_of(written)
    path.write_bytes(path.read_bytes()[:length])
    assert len(store(tmp_path)) == 0
    assert not path.exists()


def test_a_file_that_is_cut_after_it_was_listed_is_found_damaged(tmp_path):
    read = store(tmp_path)
    (path,) = shards_of(filled(tmp_path))
    assert "key2" in read
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DamagedShardError):
        read.get("key2")


def test_a_shard_that_another_process_removed_is_made_again(tmp_path):
    read = store(tmp_path)
    (path,) = shards_of(filled(tmp_path))
    assert "key2" in read
    path.unlink()
    assert read.get("key2") is None
    assert "key1" not in read


def test_what_is_not_renamed_yet_is_never_read(tmp_path):
    written = filled(tmp_path)
    (path,) = shards_of(written)
    path.rename(path.with_suffix(".unfinished"))
    assert len(store(tmp_path)) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from finetune.data import shards
from tests.finetune.data.test_shards import store, value

if __name__ == "__main__":
    how, parent = sys.argv[1], Path(sys.argv[2])
    real = os.fsync
    def die(descriptor):
        if how == "in the middle":
            os.ftruncate(descriptor, 60)
        os.kill(os.getpid(), signal.SIGKILL)
    written = store(parent)
    for number in range(4):
        written.put(f"key{number}", value(number), {})
        if number == 1:
            written.flush()
            os.fsync = die
    written.flush()
"""


@pytest.mark.parametrize("how", ["in the middle", "before the rename"])
def test_a_writer_that_is_killed_leaves_whole_shards_alone(tmp_path, repository, how):
    script = tmp_path / "main.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    ended = subprocess.run(
        [sys.executable, script, how, tmp_path / "cache"], env=environment, cwd=repository, timeout=300, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    left = store(tmp_path / "cache")
    assert list(left.folder.glob("*.unfinished")), "it was killed while it wrote"
    assert len(left) == 2
    assert torch.equal(left.get("key1").value, value(1))
    filled(tmp_path / "cache", range(4))
    assert len(store(tmp_path / "cache")) == 4
    (unfinished,) = left.folder.glob("*.unfinished")
    os.utime(unfinished, (0, 0))
    left.announce(4, setting="data.pixel_cache")
    assert not unfinished.exists()


WRITER = """
import sys
from pathlib import Path
from finetune.data import shards
from tests.finetune.data.test_shards import store, value

if __name__ == "__main__":
    shards._SHARD_BYTES = 5 * 12
    written = store(Path(sys.argv[1]))
    for number in range(200):
        key = number if sys.argv[2] == "up" else 199 - number
        if written.get(f"key{key}") is None:
            written.put(f"key{key}", value(key), {"size": [key, 2]})
"""


def test_two_processes_that_write_at_once_lose_nothing_and_what_waits_is_written_at_their_end(tmp_path, repository):
    script = tmp_path / "main.py"
    script.write_text(WRITER)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    both = [
        subprocess.Popen([sys.executable, script, tmp_path / "cache", way], env=environment, cwd=repository)
        for way in ("up", "down")
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    read = store(tmp_path / "cache")
    assert len(read) == 200
    for number in range(200):
        kept = read.get(f"key{number}")
        assert torch.equal(kept.value, value(number))
        assert kept.facts == {"size": [number, 2]}
    assert not list(read.folder.glob("*.unfinished"))


def test_a_store_named_from_here_stays_here_when_the_process_moves_on(tmp_path, monkeypatch):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    written = store(Path("cache"))
    written.put("key1", value(1), {})
    monkeypatch.chdir(elsewhere)
    written.flush()
    assert len(store(here / "cache")) == 1
    assert list(elsewhere.iterdir()) == []


def test_the_size_is_announced_and_a_disk_without_room_refused(tmp_path, monkeypatch):
    written = filled(tmp_path / "not" / "there")
    text = written.announce(1000, setting="data.pixel_cache")
    assert "data.pixel_cache: up to 1,000 images x 12 bytes" in text
    assert "3 images are there" in text
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 100, 12 * 7))
    written.announce(10, setting="data.pixel_cache")
    with pytest.raises(ValueError, match=r"data\.pixel_cache: up to 11 images.*set data\.pixel_cache=null"):
        written.announce(11, setting="data.pixel_cache")


def test_a_shard_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    written = filled(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    written.put("key9", value(9), {})
    monkeypatch.setattr(shards.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        written.flush()
    assert not list(written.folder.glob("*.unfinished"))
    assert len(store(tmp_path)) == 3
