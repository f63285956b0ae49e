"""The recipe that says exactly what the data says."""

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.verbatim import Verbatim

RNG = np.random.default_rng(0)


def test_prefix_and_suffix_are_left_alone() -> None:
    sample = Sample(sample_id="7", origin="", images=(), prefix=" Ask ", suffix="<loc0001> X ")
    example = Verbatim(lower_case=True).encode(sample, RNG)
    assert (example.prefix, example.suffix) == (" Ask ", "<loc0001> X ")
    assert Verbatim().ask(sample).suffix == ""
    assert Verbatim().reference(sample) == "<loc0001> X "


@pytest.mark.parametrize(("fields", "code"), [({"prefix": "a"}, "missing-suffix"), ({"suffix": "a"}, "missing-prefix")])
def test_what_is_missing_is_named(fields: dict[str, str], code: str) -> None:
    with pytest.raises(BadSampleError, match=code):
        Verbatim().encode(Sample(sample_id="7", origin="", images=(), **fields), RNG)


def test_the_scores_are_chosen_by_name() -> None:
    recipe = Verbatim(scores=["relaxed_accuracy"], lower_case=True)
    sample = Sample(sample_id="7", origin="", images=(), prefix="a", suffix="10")
    assert recipe.metrics()["relaxed_accuracy"].update(recipe.decode("10.4", sample), sample) == 1.0
    with pytest.raises(ValueError, match="got none"):
        Verbatim(scores=[])
