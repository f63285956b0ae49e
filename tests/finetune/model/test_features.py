from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from finetune.data import shards
from finetune.data.ready_images import ReadyImage
from finetune.data.shards import ShardStore
from finetune.model.features import (
    FeatureEncoder,
    encoder_digest,
    feature_encoder,
    feature_store,
    is_independent,
    keep_features,
    require_frozen,
)
from finetune.model.image_encoder import image_states, vision_tower
from finetune.settings import Precision

SETTINGS: dict[str, object] = {"image_size": 28, "resize": "reference"}
CPU = torch.device("cpu")


@pytest.fixture
def model(small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(1).requires_grad_(False)


def encoder(model: nn.Module, at_once: int = 1) -> FeatureEncoder:
    return FeatureEncoder(model=model, device=CPU, autocast=nullcontext, dtype=torch.float32, at_once=at_once)


def pixels(num_images: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_images, 3, 28, 28), generator=generator, dtype=torch.uint8)


def images(num_images: int) -> list[ReadyImage]:
    return [
        ReadyImage(key=f"key{number}", size=(3, 4), orientation=1, notes=("a",), pixels_u8=one)
        for number, one in enumerate(pixels(num_images))
    ]


def store(model: nn.Module, parent: Path, **changes: object) -> ShardStore:
    settings = SETTINGS | {name: value for name, value in changes.items() if name != "precision"}
    precision = changes.get("precision", Precision.fp32)
    assert isinstance(precision, Precision)
    return feature_store(parent, model, shape=(4, 24), settings=settings, precision=precision)


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("num_images", [1, 3, 4])
def test_states_are_those_that_training_would_compute(model: nn.Module, at_once: int, num_images: int) -> None:
    num_images = min(num_images, at_once)
    together = image_states(model, pixels(4))[:num_images]
    torch.testing.assert_close(encoder(model, at_once)(pixels(4)[:num_images]), together, atol=1e-6, rtol=1e-6)


def test_an_image_has_the_same_states_in_any_place_and_beside_any_others(model: nn.Module) -> None:
    assert is_independent(encoder(model), 28)
    assert is_independent(encoder(model, 4), 28)


class _LooksAside(nn.Module):
    """Lets each image see a trace of its neighbour."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = self.inner(states)
        return normalized + 1e-6 * normalized.roll(1, dims=0)


def test_a_device_on_which_neighbours_matter_computes_one_image_at_a_time(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = vision_tower(model)
    tower.post_layernorm = _LooksAside(tower.post_layernorm)
    assert not is_independent(encoder(model, 4), 28)

    def built() -> FeatureEncoder:
        return feature_encoder(
            model, device=torch.device("meta"), precision=Precision.bf16, autocast=nullcontext, image_size=28
        )

    for trial, at_once in ((False, 1), (True, 8)):
        monkeypatch.setattr("finetune.model.features.is_independent", lambda *_, answer=trial: answer)
        assert (built().at_once, built().dtype) == (at_once, torch.bfloat16)


def test_an_encoder_that_trains_or_drops_out_is_refused(model: nn.Module) -> None:
    require_frozen(model)
    tower = vision_tower(model)
    dropping = nn.Sequential(tower.post_layernorm, nn.Dropout(0.1))
    whole, tower.post_layernorm = tower.post_layernorm, dropping
    with pytest.raises(ValueError, match=r"post_layernorm\.1 .* drops out"):
        require_frozen(model)
    tower.post_layernorm = whole
    tower.encoder.layers[1].mlp.fc1.weight.requires_grad_(True)
    with pytest.raises(ValueError, match=r"data\.feature_cache .* 1 tensors of this one train .*layers\.1\.mlp\.fc1"):
        require_frozen(model)


def test_only_the_encoder_and_the_settings_decide_where_states_lie(model: nn.Module, tmp_path: Path) -> None:
    before = store(model, tmp_path).folder
    with torch.no_grad():
        model.model.multi_modal_projector.linear.weight.add_(1)
        model.lm_head.weight.add_(1)
    assert store(model, tmp_path).folder == before
    others = [store(model, tmp_path, resize="hf").folder, store(model, tmp_path, precision=Precision.bf16).folder]
    with torch.no_grad():
        vision_tower(model).encoder.layers[0].self_attn.q_proj.bias[0].add_(1e-3)
    others.append(store(model, tmp_path).folder)
    model.bfloat16()
    others.append(store(model, tmp_path).folder)
    model.config.vision_config.num_attention_heads = 4
    others.append(store(model, tmp_path).folder)
    assert len({before, *others}) == 6


def test_the_digest_depends_on_every_tensor(model: nn.Module) -> None:
    digests = {encoder_digest(model)}
    tensors = vision_tower(model).state_dict()
    for tensor in tensors.values():
        tensor.view(-1)[0] += 1
        digests.add(encoder_digest(model))
    assert len(digests) == 1 + len([one for one in tensors.values() if one.is_floating_point()])


@pytest.mark.parametrize("at_once", [1, 4])
def test_what_is_kept_is_computed_once_and_read_bit_for_bit(model: nn.Module, tmp_path: Path, at_once: int) -> None:
    computing = encoder(model, at_once)
    kept = store(model, tmp_path)
    assert keep_features(computing, [*images(6), *images(3)], kept) == 6
    assert keep_features(computing, images(6), store(model, tmp_path)) == 0
    read = store(model, tmp_path)
    for image in images(6):
        found = read.get(image.key)
        assert found is not None
        assert image.pixels_u8 is not None
        assert torch.equal(found.value, computing(image.pixels_u8[None])[0])
        assert found.facts == {"size": [3, 4], "orientation": 1, "notes": ["a"]}


def test_a_computation_that_is_broken_off_goes_on_with_the_same_bits(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_SHARD_BYTES", 1)

    def some() -> Iterator[ReadyImage]:
        yield from images(5)[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_features(encoder(model), some(), store(model, tmp_path / "broken"))
    assert keep_features(encoder(model), images(5), store(model, tmp_path / "broken")) == 2
    keep_features(encoder(model), images(5), store(model, tmp_path / "whole"))
    for image in images(5):
        one, other = (store(model, tmp_path / name).get(image.key) for name in ("broken", "whole"))
        assert one is not None
        assert other is not None
        assert torch.equal(one.value, other.value)


def test_a_full_disk_is_told(model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    with pytest.raises(ValueError, match=r"data\.feature_cache: nothing more can be written to .*No space left"):
        keep_features(encoder(model), images(1), store(model, tmp_path))


@torch.no_grad()
def test_keeping_bf16_loses_nothing_that_the_connector_reads_in_bf16(model: nn.Module) -> None:
    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    computing = FeatureEncoder(model=model, device=CPU, autocast=autocast, dtype=torch.bfloat16, at_once=4)
    connector = model.model.multi_modal_projector
    with autocast():
        computed = connector(image_states(model, pixels(4)))
        read = connector(computing(pixels(4)).to(connector.linear.weight.dtype))
    assert computed.dtype == torch.bfloat16
    assert torch.equal(read, computed)
