"""How prefixes are continued, whatever they are and in however many rows."""

from dataclasses import dataclass

# Rows are handed on, or dropped when nobody waits, as soon as one in so many is free: reading a prefix stops the other
# rows, and dropping copies the cache.
_ONE_IN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRules:
    """What is said to a prefix.

    Args:
        max_new_tokens: Limit for one prefix. Greedy decoding stops there with or without EOS; beam search only returns
            what it could end with EOS in time.
        num_beams: 1 decodes greedily; more keep so many live hypotheses.
        vocabulary_size: Ids from here on are never said.
    """

    max_new_tokens: int
    num_beams: int
    eos_id: int
    vocabulary_size: int


def worth_handing_on(num_rows: int) -> int:
    """Return how many of some rows must be free before the others are stopped for their sake."""
    return max(1, num_rows // _ONE_IN)
