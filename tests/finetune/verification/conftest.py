"""The original once more, in float64 einsums over arrays in its own layout, to make pairs of any shape.

It shares no code with the project: not the layout, not transformers, not the masks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

Arrays = dict[str, np.ndarray]
SEPARATOR, EOS, BOS = 108, 1, 2


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a checkpoint and its texts look like."""

    generation: int = 2
    patch: int = 4
    side: int = 3
    vision: tuple[int, int, int, int] = (24, 1, 20, 3)  # width, depth, mlp, heads
    decoder: tuple[int, int, int] = (40, 2, 36)  # width, depth, mlp
    heads: tuple[int, int, int] = (6, 3, 10)  # query heads, key heads, head_dim
    vocabulary: int = 211
    frames: int = 0
    texts: tuple[tuple[int, int], ...] = ((3, 4), (5, 2))  # tokens of prefix and suffix
    smoothing: float = 0.0
    tree: str = "params/"


@pytest.fixture
def make_pair(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write a random checkpoint and what the original makes of it; return both paths."""

    def make(shape: Shape, *, without: tuple[str, ...] = (), seed: int = 0) -> tuple[Path, Path]:
        rng = np.random.default_rng(seed)
        arrays = {name: array.astype(np.float32) for name, array in random_arrays(shape, rng).items()}
        expected = {
            name: array for name, array in expectation(shape, arrays, rng).items() if name.split("/")[0] not in without
        }
        checkpoint, expectations = tmp_path / f"{seed}.checkpoint.npz", tmp_path / f"{seed}.expected.npz"
        np.savez(checkpoint, **{shape.tree + name: array for name, array in arrays.items()})
        np.savez(expectations, **expected)
        return checkpoint, expectations

    return make


def random_arrays(shape: Shape, rng: np.random.Generator) -> Arrays:
    """Draw every array: kernels over the square root of how many products they add up, the rest near what it starts as.

    So every layer returns values of the size of those it gets, at any width and depth, and rounding stays rounding.
    """
    width, depth, mlp, heads = shape.vision
    decoder, layers, hidden = shape.decoder
    query_heads, key_heads, head_dim = shape.heads
    head = width // heads
    block, attention = "img/Transformer/encoderblock", "MultiHeadDotProductAttention_0"
    shapes = {
        "img/embedding/kernel": (shape.patch, shape.patch, 3, width),
        "img/embedding/bias": (width,),
        "img/pos_embedding": (1, shape.side**2, width),
        f"{block}/MlpBlock_0/Dense_0/kernel": (depth, width, mlp),
        f"{block}/MlpBlock_0/Dense_0/bias": (depth, mlp),
        f"{block}/MlpBlock_0/Dense_1/kernel": (depth, mlp, width),
        f"{block}/MlpBlock_0/Dense_1/bias": (depth, width),
        f"{block}/{attention}/out/kernel": (depth, heads, head, width),
        f"{block}/{attention}/out/bias": (depth, width),
        "img/Transformer/encoder_norm/bias": (width,),
        "img/Transformer/encoder_norm/scale": (width,),
        "img/head/kernel": (width, decoder),
        "img/head/bias": (decoder,),
        "llm/embedder/input_embedding": (shape.vocabulary, decoder),
        "llm/final_norm/scale": (decoder,),
        "llm/layers/attn/attn_vec_einsum/w": (layers, query_heads, head_dim, decoder),
        "llm/layers/mlp/gating_einsum": (layers, 2, decoder, hidden),
        "llm/layers/mlp/linear": (layers, hidden, decoder),
        "llm/layers/pre_attention_norm/scale": (layers, decoder),
        "llm/layers/pre_ffw_norm/scale": (layers, decoder),
    }
    for index in range(2):
        shapes[f"{block}/LayerNorm_{index}/scale"] = shapes[f"{block}/LayerNorm_{index}/bias"] = (depth, width)
    for name in ("query", "key", "value"):
        shapes[f"{block}/{attention}/{name}/kernel"] = (depth, width, heads, head)
        shapes[f"{block}/{attention}/{name}/bias"] = (depth, heads, head)
    if query_heads == key_heads:
        shapes["llm/layers/attn/qkv_einsum/w"] = (layers, 3, query_heads, decoder, head_dim)
    else:
        shapes["llm/layers/attn/q_einsum/w"] = (layers, query_heads, decoder, head_dim)
        shapes["llm/layers/attn/kv_einsum/w"] = (layers, 2, key_heads, decoder, head_dim)
    if shape.generation == 2:
        shapes["llm/layers/post_attention_norm/scale"] = shapes["llm/layers/post_ffw_norm/scale"] = (layers, decoder)
    return {name: _draw(name, size, rng) for name, size in shapes.items()}


def _draw(name: str, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(size)
    if name.endswith("scale"):
        return 0.05 * noise + (1.0 if name.startswith("img/") else 0.0)
    if name.endswith("bias"):
        return 0.05 * noise
    return noise / np.sqrt(_num_summed(name, size))


def _num_summed(name: str, size: tuple[int, ...]) -> int:
    """Return how many products one value of what a kernel returns adds up."""
    if name == "img/embedding/kernel":
        patch_height, patch_width, channels, _ = size
        return patch_height * patch_width * channels
    if name.endswith(("query/kernel", "key/kernel", "value/kernel")):
        _, width, _, _ = size
        return width
    if name.endswith(("out/kernel", "attn_vec_einsum/w")):
        _, heads, head_dim, _ = size
        return heads * head_dim
    if name.endswith(("pos_embedding", "input_embedding")):
        # Looked up; the table's rows are multiplied with states of its width as well.
        return size[-1]
    return size[-2]


def expectation(shape: Shape, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Compute the outputs, in float64, on random images and texts."""
    pixels = shape.patch * shape.side
    frames = (shape.frames,) if shape.frames else ()
    images = rng.uniform(-1, 1, (len(shape.texts), *frames, pixels, pixels, 3)).astype(np.float32)
    inputs = random_texts(shape, rng)
    weights = {name: torch.from_numpy(array).double().requires_grad_() for name, array in arrays.items()}
    image_tokens = encode_images(shape, weights, torch.from_numpy(images).double())
    outputs = {}
    text = torch.from_numpy(inputs["text"]).long()
    logits = decode(shape, weights, image_tokens, text[:, :-1], inputs["mask_ar"][:, :-1], inputs["mask_input"][:, :-1])
    per_example = losses(logits, text[:, 1:], torch.from_numpy(inputs["mask_loss"][:, 1:]).double(), shape.smoothing)
    per_example.mean().backward()
    outputs["per_example_loss"], outputs["loss"] = per_example, per_example.mean()
    outputs["logits"], outputs["image_tokens"] = logits, image_tokens
    outputs |= {f"grad/{shape.tree}{name}": weight.grad for name, weight in weights.items()}
    greedy = greedy_tokens(shape, weights, image_tokens.detach(), inputs)
    numbers = {name: value.detach().numpy().astype(np.float32) for name, value in outputs.items()}
    label_smoothing = np.array(shape.smoothing, dtype=np.float32)
    return {"image": images, **inputs, **numbers, "label_smoothing": label_smoothing, "greedy_tokens": greedy}


def random_texts(shape: Shape, rng: np.random.Generator) -> Arrays:
    """Lay out BOS, prefix, separator, suffix, EOS and padding."""
    width = max(prefix + suffix for prefix, suffix in shape.texts) + 3
    rows: dict[str, list[list[int]]] = {"text": [], "mask_ar": [], "mask_loss": [], "mask_input": []}
    for prefix, suffix in shape.texts:
        ids = rng.integers(110, shape.vocabulary, prefix + suffix).tolist()
        text = [BOS, *ids[:prefix], SEPARATOR, *ids[prefix:], EOS]
        padding, first = [0] * (width - len(text)), prefix + 2
        rows["text"].append(text + padding)
        rows["mask_ar"].append([0] * first + [1] * (width - first))
        rows["mask_loss"].append([0] * first + [1] * (suffix + 1) + padding)
        rows["mask_input"].append([1] * len(text) + padding)
    return {name: np.array(values, dtype=np.int32) for name, values in rows.items()}


def encode_images(shape: Shape, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Return the image tokens of each example, frame after frame."""
    width, depth, _, heads = shape.vision
    block, attention = "img/Transformer/encoderblock", "MultiHeadDotProductAttention_0"
    flat = images.flatten(0, 1) if shape.frames else images
    patches = flat.unflatten(1, (shape.side, shape.patch)).unflatten(3, (shape.side, shape.patch))
    x = torch.einsum("nypxqc,pqcw->nyxw", patches, weights["img/embedding/kernel"]).flatten(1, 2)
    x = x + weights["img/embedding/bias"] + weights["img/pos_embedding"]
    for layer in range(depth):

        def weight(name: str, layer: int = layer) -> Tensor:
            return weights[f"{block}/{name}"][layer]

        def normalized(x: Tensor, name: str) -> Tensor:
            return layer_norm(x, (width,), weight(f"{name}/scale"), weight(f"{name}/bias"), 1e-6)

        y = normalized(x, "LayerNorm_0")
        q, k, v = (
            torch.einsum("ntw,whd->nthd", y, weight(f"{attention}/{name}/kernel")) + weight(f"{attention}/{name}/bias")
            for name in ("query", "key", "value")
        )
        scores = torch.einsum("nqhd,nkhd->nhqk", q, k) / (width // heads) ** 0.5
        y = torch.einsum("nhqk,nkhd->nqhd", scores.softmax(-1), v)
        x = x + torch.einsum("nthd,hdw->ntw", y, weight(f"{attention}/out/kernel")) + weight(f"{attention}/out/bias")
        y = normalized(x, "LayerNorm_1") @ weight("MlpBlock_0/Dense_0/kernel") + weight("MlpBlock_0/Dense_0/bias")
        x = x + gelu(y, approximate="tanh") @ weight("MlpBlock_0/Dense_1/kernel") + weight("MlpBlock_0/Dense_1/bias")
    norm = weights["img/Transformer/encoder_norm/scale"], weights["img/Transformer/encoder_norm/bias"]
    tokens = layer_norm(x, (width,), *norm, 1e-6) @ weights["img/head/kernel"] + weights["img/head/bias"]
    return tokens.reshape(len(images), -1, shape.decoder[0])


def decode(
    shape: Shape, weights: dict[str, Tensor], image_tokens: Tensor, text: Tensor, mask_ar: np.ndarray, valid: np.ndarray
) -> Tensor:
    """Return the logits of the text's positions."""
    table = weights["llm/embedder/input_embedding"]
    x = torch.cat([image_tokens, table[text] * shape.decoder[0] ** 0.5], dim=1)
    ones = np.ones(image_tokens.shape[:2], dtype=np.int64)
    steps = np.concatenate([0 * ones, mask_ar], axis=1).cumsum(axis=1)
    is_valid = np.concatenate([ones, valid], axis=1) == 1
    allowed = torch.from_numpy((steps[:, None, :] <= steps[:, :, None]) & is_valid[:, None, :])
    for layer in range(shape.decoder[1]):
        x = decoder_layer(
            shape, {n[11:]: w[layer] for n, w in weights.items() if n.startswith("llm/layers/")}, x, allowed
        )
    return rms(x, weights["llm/final_norm/scale"])[:, image_tokens.shape[1] :] @ table.T


def decoder_layer(shape: Shape, layer: dict[str, Tensor], x: Tensor, allowed: Tensor) -> Tensor:
    query_heads, key_heads, head_dim = shape.heads
    y = rms(x, layer["pre_attention_norm/scale"])
    if query_heads == key_heads:
        q, k, v = (torch.einsum("btd,ndh->btnh", y, w) for w in layer["attn/qkv_einsum/w"])
    else:
        q = torch.einsum("btd,ndh->btnh", y, layer["attn/q_einsum/w"])
        k, v = (torch.einsum("btd,ndh->btnh", y, w) for w in layer["attn/kv_einsum/w"])
    q, k = rotated(q) * head_dim**-0.5, rotated(k)
    k, v = (t.repeat_interleave(query_heads // key_heads, dim=2) for t in (k, v))
    scores = torch.einsum("bqnh,bknh->bnqk", q, k)
    if shape.generation == 2:
        scores = 50 * torch.tanh(scores / 50)
    # A large number and not infinity, as in the original: a row of padding alone stays finite.
    scores = torch.where(allowed[:, None], scores, -1e30)
    y = torch.einsum("bnqk,bknh,nhd->bqd", scores.softmax(-1), v, layer["attn/attn_vec_einsum/w"])
    x = x + (rms(y, layer["post_attention_norm/scale"]) if shape.generation == 2 else y)
    y = rms(x, layer["pre_ffw_norm/scale"])
    gate, up = layer["mlp/gating_einsum"]
    y = (gelu(y @ gate, approximate="tanh") * (y @ up)) @ layer["mlp/linear"]
    return x + (rms(y, layer["post_ffw_norm/scale"]) if shape.generation == 2 else y)


def rms(x: Tensor, scale: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + scale)


def rotated(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[1], dtype=torch.float64)[:, None] / 10_000 ** (torch.arange(half).double() / half)
    sine, cosine = angles.sin()[:, None], angles.cos()[:, None]
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def losses(logits: Tensor, targets: Tensor, mask: Tensor, smoothing: float) -> Tensor:
    size = logits.shape[-1]
    wanted = torch.full_like(logits, smoothing / (size - 1)).scatter(-1, targets[..., None], 1 - smoothing)
    by_token = -(wanted * logits.log_softmax(-1)).sum(-1)
    return (by_token * mask).sum(-1) / mask.sum(-1).clamp(min=1)


@torch.no_grad()
def greedy_tokens(shape: Shape, weights: dict[str, Tensor], image_tokens: Tensor, inputs: Arrays) -> np.ndarray:
    """Continue each prefix by five tokens, everything computed anew for each."""
    found = []
    for tokens, text, mask_ar in zip(image_tokens, inputs["text"], inputs["mask_ar"], strict=True):
        prefix = [int(token) for token, is_suffix in zip(text, mask_ar, strict=True) if not is_suffix]
        said: list[int] = []
        for _ in range(5):
            ids = torch.tensor([prefix + said])
            ar = np.array([[0] * len(prefix) + [1] * len(said)])
            said.append(int(decode(shape, weights, tokens[None], ids, ar, np.ones_like(ar))[0, -1].argmax()))
        found.append(said)
    return np.array(found)


@pytest.fixture
def shape() -> Callable[..., Shape]:
    """What makes a shape out of what differs from the default one."""
    return Shape
