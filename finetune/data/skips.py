"""Samples that are left out, and where they would be missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.settings import OnBadSample
from finetune.types import BadSampleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A sample that was left out: the fields of its BadSampleError, and its row in the source.

    Loader processes hand these over instead of raising, because a skip must not end the other samples of its batch.
    """

    sample_id: str
    origin: str
    field_name: str
    code: str
    message: str
    index: int

    @property
    def name(self) -> str:
        """Which sample this is, the same each time it is drawn."""
        return f"{self.origin} {self.sample_id}".strip()

    @classmethod
    def from_error(cls, error: BadSampleError, index: int) -> "Skip":
        """Keep what an error says about row `index`."""
        return cls(
            sample_id=error.sample_id,
            origin=error.origin,
            field_name=error.field_name,
            code=error.code,
            message=error.message,
            index=index,
        )

    def to_error(self) -> BadSampleError:
        """Return the error again."""
        return BadSampleError(
            origin=self.origin,
            sample_id=self.sample_id,
            field_name=self.field_name,
            code=self.code,
            message=self.message,
        )


def allow(skips: Sequence[Skip], policy: OnBadSample) -> None:
    """Pass if skips are wanted or there are none.

    Raises:
        BadSampleError: The first of them, under `stop`.
    """
    if skips and policy is OnBadSample.stop:
        raise skips[0].to_error()
