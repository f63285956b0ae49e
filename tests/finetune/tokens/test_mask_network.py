"""The network's names and shapes, and its outputs against the original's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from finetune.tokens.mask_codec_file import codec_shapes
from finetune.tokens.mask_network import MaskNetwork


def test_the_state_dict_has_the_names_and_shapes_of_the_original_file() -> None:
    state = {name: tuple(value.shape) for name, value in MaskNetwork().state_dict().items()}
    assert state == dict(codec_shapes())


def test_encoder_and_decoder_have_as_many_parameters_as_the_original() -> None:
    network = MaskNetwork()
    sizes = [sum(value.numel() for value in part.parameters()) for part in (network.encoder, network.decoder)]
    assert sizes == [861_936, 1_123_457]


def test_the_nearest_code_is_the_one_at_the_smallest_squared_distance() -> None:
    network = MaskNetwork()
    vectors = network.codebook.vectors.detach()[[5, 90]] + 0.01
    assert network.codebook.nearest(vectors).tolist() == [5, 90]
    some = torch.randn(50, 512)
    nearest = torch.cdist(some, network.codebook.vectors.detach()).argmin(dim=1)
    assert network.codebook.nearest(some).tolist() == nearest.tolist()


def test_codes_stand_row_by_row() -> None:
    """A change in one corner of the mask can only reach its own sixteenth and its neighbours."""
    network = MaskNetwork().double()
    codes = torch.zeros(1, 16, dtype=torch.int64)
    changed = codes.clone()
    changed[0, 3] = 1
    with torch.no_grad():
        difference = (network.decode(codes) - network.decode(changed)).abs()[0]
    assert difference[:16, 48:].mean() > 5 * difference[48:, :16].mean()


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_single_precision_meets_the_original_codes_in_any_batch(oracles: Path, batch_size: int) -> None:
    network = MaskNetwork()
    weights = np.load(oracles / "mask_vqvae_random.checkpoint.npz")
    network.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    expected = np.load(oracles / "mask_vqvae_random.expected.npz")
    pixels = torch.from_numpy(expected["masks64"]).float() * 2 - 1
    with torch.inference_mode():
        codes = torch.cat([network.encode(part) for part in pixels.split(batch_size)])
    assert np.array_equal(codes.numpy(), expected["codes_of_masks64"])
