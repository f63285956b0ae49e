"""A checkpoint and the original's inputs to it, as our code computes with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from finetune.data.layout import Arrangement, Layout
from finetune.data.packing import Batch, pack
from finetune.model.image_encoder import vision_tower
from finetune.model.npz import array_blocks, load_npz, parameters_by_name
from finetune.model.npz_checkpoint import NpzCheckpoint, inspect_npz
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_layout import array_rules
from finetune.settings import Precision
from finetune.verification.expectation import Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model read as `model=npz` reads it, in fp32, and what it is shown."""

    model: nn.Module
    checkpoint: NpzCheckpoint
    expectation: Expectation

    @property
    def dimensions(self) -> Dimensions:
        """The model's, as its arrays say them."""
        return self.checkpoint.dimensions

    @property
    def num_image_tokens(self) -> int:
        """Image tokens of one example."""
        return self.expectation.images_per_example * self.dimensions.num_image_tokens

    def batch(self, *, with_suffix: bool = True) -> Batch:
        """Return all examples, one a row; the loss falls where the original's mask_loss says."""
        expectation, side = self.expectation, self.dimensions.image_size
        examples = expectation.examples(
            image_token_id=self.dimensions.vocabulary_size,
            num_image_tokens=self.dimensions.num_image_tokens,
            with_suffix=with_suffix,
        )
        # Stand-ins: the original's pixels are no whole grey levels (see `showing`).
        pixels = torch.zeros((len(expectation.images), 3, side, side), dtype=torch.uint8)
        batch = pack(examples, pixels, image_token_id=self.dimensions.vocabulary_size)
        return self._with_its_targets(batch) if with_suffix else batch

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Give the image encoder the original's pixels in place of a batch's, which must hold all examples."""
        pixels = torch.from_numpy(self.expectation.images).permute(0, 3, 1, 2).contiguous()
        handle = vision_tower(self.model).embeddings.register_forward_pre_hook(lambda module, inputs: (pixels,))
        try:
            yield
        finally:
            handle.remove()

    def original_arrays(self, tensor_of: Callable[[str, Tensor], Tensor]) -> dict[str, np.ndarray]:
        """Return something of every parameter, by the checkpoint's names and in its shapes.

        Args:
            tensor_of: From a parameter's name and the parameter to a tensor of its shape.
        """
        parameters = parameters_by_name(self.model)
        return {
            rule.array: np.concatenate(list(array_blocks(rule, lambda name: tensor_of(name, parameters[name]))))
            for rule in array_rules(self.dimensions)
        }

    def _with_its_targets(self, batch: Batch) -> Batch:
        width = batch.input_ids.shape[1]
        is_target = torch.zeros(batch.input_ids.shape, dtype=torch.bool)
        mask_loss = torch.from_numpy(self.expectation.mask_loss)[:, : width - self.num_image_tokens]
        is_target[:, self.num_image_tokens :] = mask_loss != 0
        positions = is_target.flatten().nonzero()[:, 0]
        layout = batch.layout
        if not torch.isin(positions - 1, layout.tail_rows).all():
            # A loss on the prefix, which no training has: every position may be wanted.
            everywhere = torch.arange(is_target.numel()).view(is_target.shape)
            layout = Layout(arrangement=Arrangement.packed, tail_rows=everywhere)
        return replace(
            batch,
            layout=layout,
            predictor_rows=positions - 1,
            targets=batch.input_ids.flatten()[positions],
            target_examples=positions // width,
            num_targets=is_target.sum(dim=1),
        )


def load_subject(checkpoint: Path, expectation: Expectation) -> Subject:
    """Read a checkpoint for the inputs of `expectation`.

    Raises:
        ValueError: If the file is no PaliGemma, or the inputs are not for it.
    """
    inspected = inspect_npz(checkpoint, setting="CHECKPOINT")
    dimensions = inspected.dimensions
    shape, side = expectation.images.shape[1:3], dimensions.image_size
    if shape != (side, side):
        raise ValueError(f"EXPECTED has images of {shape[0]} x {shape[1]} pixels; CHECKPOINT takes {side} x {side}")
    if expectation.text.min() < 0 or expectation.text.max() >= dimensions.vocabulary_size:
        raise ValueError(f"EXPECTED has ids outside of CHECKPOINT's vocabulary of {dimensions.vocabulary_size}")
    model, _ = load_npz(inspected, Precision.fp32)
    model.eval()
    return Subject(model=model, checkpoint=inspected, expectation=expectation)
