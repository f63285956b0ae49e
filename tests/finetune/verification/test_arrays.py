import numpy as np
import pytest

from finetune.verification.arrays import numbers, texts, without_tree

ARRAYS = {"codes": np.zeros((3, 16), dtype=np.int32), "loss": np.array(1.0), "names": np.array(["a", "b"])}


def test_axes_are_lengths_or_names_of_lengths() -> None:
    assert numbers(ARRAYS, "codes", "masks", 16) is ARRAYS["codes"]
    assert numbers(ARRAYS, "loss") is ARRAYS["loss"]
    assert texts(ARRAYS, "names", 2) is ARRAYS["names"]


@pytest.mark.parametrize(
    ("name", "axes", "message"),
    [
        ("codes", ("masks", 17), r"codes must be numbers of the shape \[masks, 17\], got \[3, 16\] of int32"),
        ("codes", (), r"codes must be numbers of the shape \[\], got \[3, 16\] of int32"),
        ("names", ("names",), r"names must be numbers of the shape \[names\], got \[2\] of <U1"),
        ("nothing", (), r"holds no array nothing"),
    ],
)
def test_anything_else_is_refused_by_name(name: str, axes: tuple[int | str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"EXPECTED:? {message}"):
        numbers(ARRAYS, name, *axes)


@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_arrays_are_called_as_a_checkpoint_calls_them(tree: str) -> None:
    assert set(without_tree({f"{tree}img/head/bias": np.zeros(1), f"{tree}llm/x": np.zeros(1)})) == {
        "img/head/bias",
        "llm/x",
    }
