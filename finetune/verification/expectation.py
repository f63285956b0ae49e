"""The original's inputs and outputs on a checkpoint, and the same inputs in our form. Imports without torch.

    text       BOS prefix "\\n" suffix EOS 0 0 0     ids
    mask_ar     0    0     0     1     1  1 1 1     0: seen by all (prefix), 1: seen from there on (suffix)
    mask_loss   0    0     0     1     1  0 0 0     where the loss falls
    mask_input  1    1     1     1     1  0 0 0     0: padding

Everything about shapes comes from the arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from finetune.types import TokenizedExample
from finetune.verification.arrays import numbers, without_tree

GRADIENTS = "grad/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the original was given and what it returned.

    Args:
        images: Of all examples, one after another, with pixels in [-1, 1].
        text: Ids, padded on the right.
        lengths: Of each text without its padding.
        prefix_lengths: Tokens before the suffix, BOS and newline included.
        mask_loss: Where the loss falls.
        outputs: Everything else by its name in the file.
    """

    images: Float[np.ndarray, "images height width 3"]
    text: Int64[np.ndarray, "examples tokens"]
    lengths: Int64[np.ndarray, " examples"]
    prefix_lengths: Int64[np.ndarray, " examples"]
    mask_loss: Int64[np.ndarray, "examples tokens"]
    outputs: Mapping[str, np.ndarray]

    @property
    def images_per_example(self) -> int:
        """Every example has as many."""
        return len(self.images) // len(self.text)

    @property
    def label_smoothing(self) -> float:
        """Of the loss; 0 where the file says nothing."""
        return float(numbers(self.outputs, "label_smoothing")) if "label_smoothing" in self.outputs else 0.0

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """By the names of the checkpoint's arrays."""
        found = {
            name.removeprefix(GRADIENTS): array for name, array in self.outputs.items() if name.startswith(GRADIENTS)
        }
        return without_tree(found)

    def examples(self, *, image_token_id: int, num_image_tokens: int, with_suffix: bool) -> list[TokenizedExample]:
        """Return the examples as ours.

        Args:
            num_image_tokens: Of one image.
        """
        placeholders = np.full(self.images_per_example * num_image_tokens, image_token_id)
        examples = []
        for index, (text, length, prefix_length) in enumerate(
            zip(self.text, self.lengths, self.prefix_lengths, strict=True)
        ):
            shown = text[: length if with_suffix else prefix_length]
            is_suffix = np.arange(len(shown)) >= prefix_length
            examples.append(
                TokenizedExample(
                    sample_id=str(index),
                    input_ids=np.concatenate([placeholders, shown]),
                    is_suffix=np.concatenate([np.zeros(len(placeholders), dtype=np.bool_), is_suffix]),
                    num_image_tokens=len(placeholders),
                )
            )
        return examples


def read_expectation(arrays: Mapping[str, np.ndarray]) -> Expectation:
    """Sort the arrays of an expected.npz.

    Raises:
        ValueError: If an input is missing, or is of a form that PaliGemma's trainer does not make.
    """
    if missing := [name for name in ("image", "text", "logits") if name not in arrays]:
        raise ValueError(f"EXPECTED holds no array {', '.join(missing)}; a model's expectation has image, text, logits")
    text = numbers(arrays, "text", "examples", "tokens").astype(np.int64)
    images = numbers(arrays, "image", len(text), *_frames(arrays["image"], 4), "height", "width", 3).astype(np.float32)
    _check_outputs(arrays, len(text))
    lengths = _lengths(arrays, text)
    is_valid = np.arange(text.shape[1]) < lengths[:, None]
    mask_ar, mask_loss = _masks(arrays, text, is_valid)
    prefix_lengths = (is_valid & (mask_ar == 0)).sum(axis=1)
    if ((np.arange(text.shape[1]) >= prefix_lengths[:, None]) != (mask_ar == 1))[is_valid].any():
        raise ValueError("EXPECTED: mask_ar must be 0 on a prefix and 1 on all that follows, as PaliGemma's is")
    return Expectation(
        images=images.reshape(-1, *images.shape[-3:]),
        text=text,
        lengths=lengths,
        prefix_lengths=prefix_lengths,
        mask_loss=mask_loss * is_valid,
        outputs=arrays,
    )


def _check_outputs(arrays: Mapping[str, np.ndarray], num_examples: int) -> None:
    """Refuse an output whose shape is not what the trainer returns for so many examples."""
    tokens_of_frames = _frames(arrays["image_tokens"], 3) if "image_tokens" in arrays else ()
    shapes: dict[str, tuple[int | str, ...]] = {
        "image_tokens": (num_examples, *tokens_of_frames, "tokens", "width"),
        "logits": (num_examples, "tokens", "vocabulary"),
        "per_example_loss": (num_examples,),
        "loss": (),
        "label_smoothing": (),
        "greedy_tokens": (num_examples, "tokens"),
    }
    for name, axes in shapes.items():
        if name in arrays:
            numbers(arrays, name, *axes)


def _frames(array: np.ndarray, num_axes: int) -> tuple[str, ...]:
    """Return the axis that examples of several images have besides."""
    return ("frames",) if array.ndim == num_axes + 1 else ()


def _lengths(arrays: Mapping[str, np.ndarray], text: np.ndarray) -> np.ndarray:
    """Count the tokens of each text, padding left out."""
    is_token = arrays["mask_input"] != 0 if "mask_input" in arrays else text != 0
    if is_token.shape != text.shape:
        raise ValueError(f"EXPECTED: mask_input has the shape {is_token.shape}, text has {text.shape}")
    lengths: np.ndarray = (is_token * np.arange(1, text.shape[1] + 1)).max(axis=1)
    if "mask_input" in arrays and (is_token.sum(axis=1) != lengths).any():
        raise ValueError("EXPECTED: mask_input must be 1 on a text and 0 on the padding to its right")
    return lengths


def _masks(arrays: Mapping[str, np.ndarray], text: np.ndarray, is_valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mask_ar and mask_loss; where one is absent, the other one says what the suffix is."""
    given = {name: arrays[name].astype(np.int64) for name in ("mask_ar", "mask_loss") if name in arrays}
    if not given:
        raise ValueError("EXPECTED holds neither mask_ar nor mask_loss, so that nothing tells a prefix from a suffix")
    for name, mask in given.items():
        if mask.shape != text.shape:
            raise ValueError(f"EXPECTED: {name} has the shape {mask.shape}, text has {text.shape}")
    mask_ar = given["mask_ar"] if "mask_ar" in given else np.maximum.accumulate(given["mask_loss"], axis=1)
    return mask_ar, given["mask_loss"] if "mask_loss" in given else mask_ar * is_valid
