"""Question 2 to a new GPU: which way of computing prefix-LM attention is right there, and how fast is each?

Every route is compared with plain scores and softmax in fp32 before it is timed; one that this torch or this card does
not have says so instead.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

from finetune.benchmark.choices import BenchSize, Workload
from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.statistics import median
from finetune.benchmark.timing import repeat
from finetune.model.dtype import to_torch_dtype

Route = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(query, key, value [rows, heads, tokens, head_dim], length of the prefix) -> the same shape as the query."""

# Image tokens, prefix and suffix at 224, 448 and 896 px; rows so that each has about as many tokens.
_LENGTHS = ((256 + 12, 20, 32), (1024 + 16, 48, 8), (4096 + 16, 112, 2))
_TINY_LENGTHS = ((9, 4, 2),)
_SOFT_CAP = 50.0
_CAPPED = "flex, soft-cap"
_SECONDS = 0.3


def measure_attention(workload: Workload, device: torch.device) -> list[dict[str, Any]]:
    """Try every route for both generations' heads, and full attention for the image encoder's."""
    lengths = _TINY_LENGTHS if workload.size is BenchSize["tiny"] else _LENGTHS
    dtype = to_torch_dtype(workload.precision)
    rows: list[dict[str, Any]] = []
    for prefix, suffix, num_rows in lengths:
        tokens = prefix + suffix
        for generation in (1, 2):
            found = dimensions_of(workload.size, generation)
            shapes = [(num_rows, heads, tokens, found.head_dim) for heads in (found.heads, found.key_heads)]
            inputs = _inputs(shapes[0], shapes[1], dtype, device)
            shape = {"heads": f"{found.heads}/{found.key_heads} x {found.head_dim}", "tokens": tokens, "rows": num_rows}
            for name, route in decoder_routes().items():
                soft_cap = _SOFT_CAP if name == _CAPPED else None
                rows.append({**shape, "route": name, **_tried(route, inputs, prefix, device, soft_cap)})
        found = dimensions_of(workload.size, 1)
        head_dim = found.vision_width // found.vision_heads
        per_head = (num_rows, found.vision_heads, prefix, head_dim)
        inputs = _inputs(per_head, per_head, dtype, device)
        shape = {"heads": f"{found.vision_heads} x {head_dim}, image encoder", "tokens": prefix, "rows": num_rows}
        for name, route in _encoder_routes().items():
            rows.append({**shape, "route": name, **_tried(route, inputs, prefix, device)})
    return rows


def decoder_routes() -> Mapping[str, Route]:
    """Return every way of prefix-LM attention, by name."""
    return {
        "two calls, flash": _two_calls(SDPBackend.FLASH_ATTENTION),
        "two calls, cudnn": _two_calls(SDPBackend.CUDNN_ATTENTION),
        "mask, memory-efficient": _masked(SDPBackend.EFFICIENT_ATTENTION),
        "mask, math": _masked(SDPBackend.MATH),
        "two calls, varlen": _varlen,
        "flex": _flex(None),
        _CAPPED: _flex(_SOFT_CAP),
    }


def _encoder_routes() -> Mapping[str, Route]:
    def full(backend: SDPBackend) -> Route:
        def route(query: Tensor, key: Tensor, value: Tensor, prefix: int) -> Tensor:
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(query, key, value)

        return route

    backends = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
    return {f"full, {backend.name.partition('_')[0].lower()}": full(backend) for backend in backends}


def reference(
    query: Float[Tensor, "rows heads tokens dim"],
    key: Float[Tensor, "rows key_heads tokens dim"],
    value: Float[Tensor, "rows key_heads tokens dim"],
    prefix: int,
    soft_cap: float | None = None,
) -> Float[Tensor, "rows heads tokens dim"]:
    """Spell prefix-LM attention out, in fp32."""
    groups = query.shape[1] // key.shape[1]
    key, value = (part.float().repeat_interleave(groups, dim=1) for part in (key, value))
    scores = query.float() @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    scores = scores if soft_cap is None else soft_cap * torch.tanh(scores / soft_cap)
    return scores.masked_fill(~_allowed(query.shape[2], prefix, query.device), -torch.inf).softmax(dim=-1) @ value


def _tried(
    route: Route,
    inputs: tuple[Tensor, Tensor, Tensor],
    prefix: int,
    device: torch.device,
    soft_cap: float | None = None,
) -> dict[str, Any]:
    """Compare a route with the reference, then time it forwards and with its backward."""
    query, key, value = inputs
    gradient = torch.randn_like(query)

    def both() -> None:
        torch.autograd.grad(route(query, key, value, prefix), inputs, gradient)

    try:
        with torch.no_grad():
            expected = reference(query[:1], key[:1], value[:1], prefix, soft_cap)
            error = float((route(query, key, value, prefix)[:1].float() - expected).abs().max())
            forward = median(repeat(lambda: route(query, key, value, prefix), device, seconds=_SECONDS))
        both_ways = median(repeat(both, device, seconds=_SECONDS))
    # Which routes there are is the question; a refusal of any kind is an answer.
    except Exception as refusal:
        return {"failed": f"{type(refusal).__name__}: {str(refusal).partition(chr(10))[0][:160]}"}
    return {"largest_error": error, "forward_ms": 1e3 * forward, "both_ms": 1e3 * both_ways}


def _inputs(
    query_shape: tuple[int, ...], key_shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (query_shape, key_shape, key_shape)
    query, key, value = (torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for shape in shapes)
    return query, key, value


def _allowed(tokens: int, prefix: int, device: torch.device) -> Tensor:
    places = torch.arange(tokens, device=device)
    return (places[None, :] < prefix) | (places[None, :] <= places[:, None])


def _two_calls(backend: SDPBackend) -> Route:
    """Prefix on prefix in full, suffix on all with the diagonal at the lower right: no mask is ever written."""

    def route(query: Tensor, key: Tensor, value: Tensor, prefix: int) -> Tensor:
        bias = causal_lower_right(query.shape[2] - prefix, query.shape[2])
        with sdpa_kernel(backend):
            first = scaled_dot_product_attention(
                query[:, :, :prefix], key[:, :, :prefix], value[:, :, :prefix], enable_gqa=True
            )
            second = scaled_dot_product_attention(query[:, :, prefix:], key, value, attn_mask=bias, enable_gqa=True)
        return torch.cat((first, second), dim=2)

    return route


def _masked(backend: SDPBackend) -> Route:
    def route(query: Tensor, key: Tensor, value: Tensor, prefix: int) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(
                query, key, value, attn_mask=_allowed(query.shape[2], prefix, query.device)
            )

    return route


def _varlen(query: Tensor, key: Tensor, value: Tensor, prefix: int) -> Tensor:
    """The same two calls over rows laid end to end."""
    from torch.nn.attention.varlen import varlen_attn

    rows, heads, tokens, head_dim = query.shape

    def flat(part: Tensor) -> Tensor:
        return part.transpose(1, 2).reshape(-1, part.shape[1], head_dim)

    def ends(length: int) -> Tensor:
        return torch.arange(0, (rows + 1) * length, length, device=query.device, dtype=torch.int32)

    suffix, seen = tokens - prefix, slice(0, prefix)
    # Releases without the argument are asked whether they take fewer key heads as they are.
    attend: Any = varlen_attn
    if heads != key.shape[1] and "enable_gqa" in inspect.signature(varlen_attn).parameters:
        attend = partial(varlen_attn, enable_gqa=True)
    first = attend(
        flat(query[:, :, seen]),
        flat(key[:, :, seen]),
        flat(value[:, :, seen]),
        ends(prefix),
        ends(prefix),
        prefix,
        prefix,
    )
    second = attend(
        flat(query[:, :, prefix:]), flat(key), flat(value), ends(suffix), ends(tokens), suffix, tokens,
        window_size=(-1, 0),
    )  # fmt: skip
    parts = (part.view(rows, -1, heads, head_dim) for part in (first, second))
    return torch.cat(tuple(parts), dim=1).transpose(1, 2)


def _flex(soft_cap: float | None) -> Route:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    # A processor's compiler takes minutes, and its flex has no backward.
    has_gpu = torch.cuda.is_available()
    attend = torch.compile(flex_attention, dynamic=False) if has_gpu else flex_attention

    def capped(score: Tensor, row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return soft_cap * torch.tanh(score / soft_cap)  # type: ignore[operator]

    def route(query: Tensor, key: Tensor, value: Tensor, prefix: int) -> Tensor:
        def allowed(row: Tensor, head: Tensor, query_place: Tensor, key_place: Tensor) -> Tensor:
            return (key_place < prefix) | (key_place <= query_place)

        tokens = query.shape[2]
        mask = create_block_mask(allowed, None, None, tokens, tokens, device=str(query.device))
        found: Tensor = attend(
            query, key, value, score_mod=None if soft_cap is None else capped, block_mask=mask, enable_gqa=True
        )
        return found

    return route
