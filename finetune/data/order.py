"""Which sample comes when: a shuffle with random access, so that nothing has to be replayed or stored.

    seed 0, epoch 0, length 5:   position 0 1 2 3 4 -> index 0 3 2 1 4

Every function here is pure arithmetic on integers and blake2b. `torch.randperm` and `numpy.random` make no promise to
draw the same order in their next version; a checkpoint that stores "seed 0, epoch 3, step 1200" needs one.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

_NUM_ROUNDS = 8
# A network over fewer bits than this reaches only some of the permutations of its few elements.
_SMALLEST_HALF_BITS = 3
_WORD = (1 << 64) - 1


def position_to_index(seed: int, epoch: int, position: int, length: int, block_size: int | None = None) -> int:
    """Return which of `length` rows stands at `position` of an epoch's order.

    For fixed seed and epoch this is a permutation of 0..length-1.

    Args:
        position: 0 <= position < length.
        block_size: None: any row can stand anywhere. A number: rows are shuffled within blocks of so many consecutive
            ones and the blocks are visited in order, as a source that can only be read forwards needs.
    """
    assert 0 <= position < length, f"position {position} is outside an epoch of {length}"
    if block_size is None:
        return _permute(position, length, _round_keys(seed, epoch, 0))
    block, place = divmod(position, block_size)
    start = block * block_size
    return start + _permute(place, min(block_size, length - start), _round_keys(seed, epoch, block))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """Rows of a source that come together in every epoch, such as those of one image.

    Args:
        rows: All rows, group by group.
        ends: Where each group ends in `rows`.
    """

    rows: Int64[np.ndarray, " rows"]
    ends: Int64[np.ndarray, " groups"]

    @classmethod
    def of(cls, group_numbers: Int64[np.ndarray, " rows"]) -> "Groups":
        """Sort rows by the number of their group; in a group they stay in the source's order."""
        _, sizes = np.unique(group_numbers, return_counts=True)
        rows = np.argsort(group_numbers, kind="stable").astype(np.int64)
        return cls(rows=rows, ends=np.cumsum(sizes).astype(np.int64))


@lru_cache(maxsize=8)
def grouped_order(seed: int, epoch: int, groups: Groups) -> Int64[np.ndarray, " rows"]:
    """Return the rows of an epoch in order: groups shuffled as `position_to_index` shuffles rows, each one whole.

    Where the groups' sizes differ, a position can only be found by adding them up, so that an epoch's order is made at
    once: about ten seconds for a million groups.
    """
    shuffled = [position_to_index(seed, epoch, place, len(groups.ends)) for place in range(len(groups.ends))]
    starts = np.concatenate([[0], groups.ends[:-1]])
    return np.concatenate([groups.rows[starts[group] : groups.ends[group]] for group in shuffled])


def rng_for(seed: int, epoch: int, sample_id: str) -> np.random.Generator:
    """Return the generator of one sample's random choices in one epoch, whichever process reads it."""
    return np.random.Generator(np.random.PCG64(stable_hash("choices", seed, epoch, sample_id)))


def stable_hash(*parts: int | str) -> int:
    """Return 64 bits that depend on every part and on the borders between them, the same on every machine."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        text = f"{type(part).__name__}:{part}".encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "little") + text)
    return int.from_bytes(digest.digest(), "little")


@lru_cache(maxsize=256)
def _round_keys(seed: int, epoch: int, block: int) -> tuple[int, ...]:
    return tuple(stable_hash("order", seed, epoch, block, number) for number in range(_NUM_ROUNDS))


def _permute(value: int, length: int, keys: tuple[int, ...]) -> int:
    """Permute 0..length-1 by a Feistel network over the next power of four.

    A result outside the range is permuted again until it falls inside (cycle walking): the walk stays on one cycle of
    the larger permutation, so two values inside never meet. The mean walk is below four steps for 64 rows or more.
    """
    half_bits = max(_SMALLEST_HALF_BITS, ((length - 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    while True:
        left, right = value >> half_bits, value & mask
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        value = left << half_bits | right
        if value < length:
            return value


def _mix(word: int) -> int:
    """Scramble 64 bits.

    Source:
        splitmix64 (Steele, Lea, Flood 2014; public domain code by Vigna).
    """
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _WORD
    return word ^ word >> 31
