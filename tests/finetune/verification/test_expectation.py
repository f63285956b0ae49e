import numpy as np
import pytest

from finetune.verification.expectation import read_expectation

TEXT = np.array([[2, 7, 108, 9, 1, 0], [2, 108, 5, 6, 7, 1]])
AR = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
LOSS = np.array([[0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1]])
INPUT = np.array([[1, 1, 1, 1, 1, 0], [1] * 6])


def arrays(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    given: dict[str, np.ndarray | None] = {
        "image": np.zeros((2, 8, 8, 3), np.float32),
        "text": TEXT,
        "mask_ar": AR,
        "mask_loss": LOSS,
        "mask_input": INPUT,
        "logits": np.zeros((2, 5, 11), np.float32),
    }
    return {name: array for name, array in (given | changes).items() if array is not None}


@pytest.mark.parametrize("absent", [(), ("mask_input",), ("mask_ar",), ("mask_loss",), ("mask_ar", "mask_input")])
def test_texts_become_examples_from_whatever_masks_there_are(absent: tuple[str, ...]) -> None:
    expectation = read_expectation(arrays(**dict.fromkeys(absent)))
    first, second = expectation.examples(image_token_id=11, num_image_tokens=2, with_suffix=True)
    assert first.input_ids.tolist() == [11, 11, 2, 7, 108, 9, 1]
    assert first.is_suffix.tolist() == [False] * 5 + [True] * 2
    assert second.num_targets == 4
    assert (expectation.mask_loss == LOSS).all()
    prefix, _ = expectation.examples(image_token_id=11, num_image_tokens=2, with_suffix=False)
    assert prefix.input_ids.tolist() == [11, 11, 2, 7, 108]
    assert prefix.num_targets == 0


def test_frames_follow_one_another() -> None:
    image = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 4, 3)
    expectation = read_expectation(arrays(image=image))
    assert expectation.images_per_example == 3
    assert (expectation.images[4] == image[1, 1]).all()
    first, _ = expectation.examples(image_token_id=11, num_image_tokens=2, with_suffix=True)
    assert first.num_image_tokens == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": None}, "holds no array logits"),
        ({"mask_ar": None, "mask_loss": None}, "neither mask_ar nor mask_loss"),
        ({"mask_ar": np.array([[0, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]])}, "0 on a prefix and 1 on all that follows"),
        ({"mask_input": np.array([[0, 1, 1, 1, 1, 0], [1] * 6])}, "0 on the padding to its right"),
        ({"mask_loss": LOSS[:, :-1]}, "mask_loss has the shape"),
        (
            {"image": np.zeros((3, 8, 8, 3), np.float32)},
            r"EXPECTED: image must be numbers of the shape \[2, height, width, 3\], got \[3, 8, 8, 3\]",
        ),
        (
            {"image": np.zeros((2, 3, 8, 8, 4), np.float32)},
            r"shape \[2, frames, height, width, 3\], got \[2, 3, 8, 8, 4\]",
        ),
        ({"text": TEXT[0]}, r"text must be numbers of the shape \[examples, tokens\], got \[6\] of int64"),
        ({"text": TEXT.astype(str)}, r"text must be numbers of the shape .*, got \[2, 6\] of <U"),
        (
            {"logits": np.zeros((2, 11))},
            r"logits must be numbers of the shape \[2, tokens, vocabulary\], got \[2, 11\]",
        ),
        ({"greedy_tokens": np.zeros(4)}, r"greedy_tokens must be numbers of the shape \[2, tokens\], got \[4\]"),
        ({"greedy_tokens": np.zeros((3, 4))}, r"greedy_tokens must be .* \[2, tokens\], got \[3, 4\]"),
        ({"per_example_loss": np.zeros(3)}, r"per_example_loss must be numbers of the shape \[2\], got \[3\]"),
        ({"loss": np.zeros(2)}, r"loss must be numbers of the shape \[\], got \[2\]"),
        ({"label_smoothing": np.zeros(2)}, r"label_smoothing must be numbers of the shape \[\], got \[2\]"),
        ({"image_tokens": np.zeros((16, 32))}, r"image_tokens must be .* \[2, tokens, width\], got \[16, 32\]"),
    ],
)
def test_inputs_that_the_trainer_does_not_make_are_refused(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_expectation(arrays(**changes))


@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_gradients_go_by_the_checkpoints_names(tree: str) -> None:
    given = {f"grad/{tree}a/b": np.ones(1), f"grad/{tree}c": np.ones(1)}
    assert set(read_expectation(arrays(**given)).gradients) == {"a/b", "c"}
