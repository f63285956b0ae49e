"""Real PaliGemma classes with a few thousand weights, and random examples for them.

Ids: pad 0, EOS 1, BOS 2, unknown 3, newline 4, words 5..39; the image placeholder 40 and three rows after it are not
vocabulary. An image is 28 x 28: four tokens.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from finetune.data.packing import Batch, pack
from finetune.types import TokenizedExample

EOS, BOS, NEWLINE, FIRST_WORD, VOCABULARY_SIZE, IMAGE_TOKEN = 1, 2, 4, 5, 40, 40
IMAGE_SIZE, IMAGE_TOKENS = 28, 4

_TEXT = {
    "vocab_size": 44,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
_GENERATIONS = {
    1: {"model_type": "gemma", "num_key_value_heads": 1},
    # A scale unlike head_dim**-0.5 and a low soft-cap, so that forgetting either of them shows.
    2: {
        "model_type": "gemma2",
        "num_key_value_heads": 2,
        "query_pre_attn_scalar": 9,
        "attn_logit_softcapping": 3.0,
        "final_logit_softcapping": None,
        "layer_types": ["full_attention"] * 2,
    },
}


@pytest.fixture(scope="session")
def small_paligemma() -> Callable[..., nn.Module]:
    """Build a PaliGemma of generation 1 or 2 whose weights are large enough for every mistake to show."""

    def build(generation: int, seed: int = 0) -> nn.Module:
        from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

        config = PaliGemmaConfig(
            text_config=_TEXT | _GENERATIONS[generation],
            vision_config={
                "model_type": "siglip_vision_model",
                "hidden_size": 24,
                "intermediate_size": 40,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": IMAGE_SIZE,
                "patch_size": 14,
                "vision_use_head": False,
            },
            image_token_index=IMAGE_TOKEN,
            projection_dim=32,
            attn_implementation="eager",
        )
        model = PaliGemmaForConditionalGeneration(config)
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.data.normal_(0, 1.2 * fan_in**-0.5, generator=generator)
        # Random signs, or the tied head would only ever echo the last id.
        model.model.language_model.norm.weight.data.normal_(-1, 1.5, generator=generator)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def random_examples() -> Callable[..., list[TokenizedExample]]:
    """Make examples with one image, a random prefix and a random suffix, each of one to six words."""

    def make(num_examples: int, seed: int = 0) -> list[TokenizedExample]:
        rng = np.random.default_rng(seed)

        def words() -> list[int]:
            return rng.integers(FIRST_WORD, VOCABULARY_SIZE, rng.integers(1, 7)).tolist()

        return [example_of(words(), words(), f"sample-{index}") for index in range(num_examples)]

    return make


def example_of(prefix: list[int], suffix: list[int], sample_id: str = "sample") -> TokenizedExample:
    """Lay ids out as the model sees them: image, BOS, prefix, newline, suffix, EOS."""
    shown = [IMAGE_TOKEN] * IMAGE_TOKENS + [BOS, *prefix, NEWLINE]
    return TokenizedExample(
        sample_id=sample_id,
        input_ids=np.array([*shown, *suffix, EOS], dtype=np.int64),
        is_suffix=np.arange(len(shown) + len(suffix) + 1) >= len(shown),
        num_image_tokens=IMAGE_TOKENS,
    )


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Batch]:
    """Pack examples, each with its own image: the same one wherever the example is packed."""

    def make(examples: Sequence[TokenizedExample], row_tokens: int | None = None) -> Batch:
        return pack(examples, pixels_of(examples), image_token_id=IMAGE_TOKEN, row_tokens=row_tokens)

    return make


def pixels_of(examples: Sequence[TokenizedExample]) -> torch.Tensor:
    """Return one random image per example, given by the example's ids."""
    images = [
        np.random.default_rng(example.input_ids.tolist()).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
        for example in examples
    ]
    return torch.from_numpy(np.stack(images))
