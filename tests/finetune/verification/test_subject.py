from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from finetune.model.image_encoder import embed_images, normalized_image_states
from finetune.verification.expectation import read_expectation
from finetune.verification.subject import Subject, load_subject


def subject_of(pair: tuple[Path, Path]) -> Subject:
    return load_subject(pair[0], read_expectation(dict(np.load(pair[1]))))


def test_the_originals_pixels_take_the_place_of_a_batchs(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> None:
    subject = subject_of(make_pair(shape(frames=2)))
    pixels = torch.from_numpy(subject.expectation.images).permute(0, 3, 1, 2)
    expected = subject.model.model.multi_modal_projector(normalized_image_states(subject.model, pixels)).detach()
    batch = subject.batch()
    assert len(batch.pixels) == 4
    with subject.showing(), torch.no_grad():
        assert torch.equal(embed_images(subject.model, batch), expected)
    assert not torch.equal(embed_images(subject.model, batch).detach(), expected)


def test_the_loss_falls_where_mask_loss_says(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> None:
    checkpoint, expected = make_pair(shape())
    arrays = dict(np.load(expected))
    arrays["mask_loss"][0] = 0
    arrays["mask_loss"][1, np.flatnonzero(arrays["mask_loss"][1])[-1]] = 0
    batch = load_subject(checkpoint, read_expectation(arrays)).batch()
    assert batch.num_targets.tolist() == [0, 2]
    assert batch.targets.tolist() == arrays["text"][1][arrays["mask_loss"][1] == 1].tolist()
    assert batch.target_examples.tolist() == [1, 1]
    assert (batch.input_ids.flatten()[batch.predictor_rows + 1] == batch.targets).all()


def test_weights_come_back_under_the_checkpoints_names(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> None:
    pair = make_pair(shape(heads=(4, 4, 6)))
    found = subject_of(pair).original_arrays(lambda name, parameter: parameter)
    wanted = dict(np.load(pair[0]))
    assert {f"params/{name}" for name in found} == wanted.keys()
    assert all(np.array_equal(found[name], wanted[f"params/{name}"]) for name in found)
