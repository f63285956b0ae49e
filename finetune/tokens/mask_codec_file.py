"""Which weights turn masks into codes: the embedded ones, the original's, or a file of the user's."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

ENVIRONMENT_VARIABLE = "FINETUNE_MASK_CODEC"
EMBEDDED = "embedded"
ORIGINAL = "original"

ORIGINAL_FILE = "vae-oid.npz"
ORIGINAL_SHA256 = "5586010257b8536dddefab65e7755077f21d5672d5674dacf911f73ae95a4447"
ORIGINAL_BYTES = 8_479_556
_SPACE = "google/paligemma-hf"
_URL = f"https://huggingface.co/spaces/{_SPACE}/resolve/main/{ORIGINAL_FILE}"

_EMBEDDED_FOLDER = Path(__file__).parent / "mask_codec"

Weights = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecChoice:
    """One file of weights. `name` is embedded, original or the path as it was given; `sha256` is what identifies it."""

    name: str
    path: Path
    sha256: str


def choose_codec(setting: str | None) -> CodecChoice:
    """Find the weights and check that they are a codec's. Reads each file once, and only "original" asks the network.

    Args:
        setting: embedded, original or a path (.npz as the original's, or .safetensors with the same names); None:
            what $FINETUNE_MASK_CODEC says, or else embedded.

    Raises:
        ValueError: If the file is missing, damaged or no codec, or the original cannot be had.
    """
    given = setting if setting is not None else os.environ.get(ENVIRONMENT_VARIABLE) or EMBEDDED
    source = "mask_codec" if setting is not None else ENVIRONMENT_VARIABLE
    if given == EMBEDDED:
        return _embedded()
    if given == ORIGINAL:
        return _original()
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise ValueError(
            f"{source}={given} is not a file: give the path of a codec (.npz or .safetensors), {EMBEDDED} or {ORIGINAL}"
        )
    digest = _checked_digest(path)
    return CodecChoice(name=ORIGINAL if digest == ORIGINAL_SHA256 else given, path=path, sha256=digest)


def read_weights(path: Path) -> Weights:
    """Read the 47 arrays of a codec. The original's two moving averages of the codebook may be there and are left out.

    Raises:
        ValueError: If the file is damaged, or a name, shape or number is not that of a codec.
    """
    try:
        found = dict(_read_arrays(path))
    # A damaged archive raises whatever the reader tripped over.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{path} is not a readable .npz or .safetensors file ({reason}): download it again") from None
    expected = dict(codec_shapes())
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected and name not in _MOVING_AVERAGES]
    if missing or unknown:
        raise ValueError(
            f"{path} is no mask codec: {_some('lacks', missing)}{_some('has also', unknown)}"
            f"it must hold the {len(expected)} arrays of the original's {ORIGINAL_FILE}"
        )
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise ValueError(f"{path} is no mask codec: {name} must have the shape {shape}, got {found[name].shape}")
        if found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise ValueError(f"{path}: {name} must hold finite floating-point numbers, got {found[name].dtype}")
    return {name: found[name] for name in expected}


def codec_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name every array with its shape: (out, in, height, width), and (in, out, height, width) where it enlarges."""
    for index, (width_in, width_out) in enumerate(pairwise((1, 16, 32, 64, 128))):
        yield from _convolution(f"encoder.{2 * index}", (width_out, width_in, 4, 4), width_out)
    yield from _residual("encoder.8")
    yield from _residual("encoder.9")
    yield from _convolution("encoder.10", (512, 128, 1, 1), 512)
    yield "_vq_vae._embedding", (128, 512)
    yield from _convolution("decoder.0", (128, 512, 1, 1), 128)
    yield from _residual("decoder.2")
    yield from _residual("decoder.3")
    for index, (width_in, width_out) in enumerate(pairwise((128, 128, 64, 32, 16))):
        yield from _convolution(f"decoder.{4 + 2 * index}", (width_in, width_out, 4, 4), width_out)
    yield from _convolution("decoder.12", (1, 16, 1, 1), 1)


_MOVING_AVERAGES = ("_vq_vae._ema_cluster_size", "_vq_vae._ema_w")


def _convolution(name: str, shape: tuple[int, ...], width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (width,)


def _residual(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for index, side in ((0, 3), (2, 3), (4, 1)):
        yield from _convolution(f"{name}.net.{index}", (128, 128, side, side), 128)


def _read_arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        yield from load_file(path).items()
        return
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            yield name, archive[name]


def _embedded() -> CodecChoice:
    path = _EMBEDDED_FOLDER / "codec.safetensors"
    if not path.is_file():
        raise ValueError(f"the embedded mask codec is missing from the installation: {path}; install the project again")
    digest = _checked_digest(path)
    if digest != json.loads((_EMBEDDED_FOLDER / "codec.json").read_text(encoding="utf-8"))["sha256"]:
        raise ValueError(f"the embedded mask codec is not the one that was released: {path}; install the project again")
    return CodecChoice(name=EMBEDDED, path=path, sha256=digest)


def _original() -> CodecChoice:
    path = _cached_original() or _download_original()
    return CodecChoice(name=ORIGINAL, path=path, sha256=_checked_digest(path))


def _cached_original() -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(_SPACE, ORIGINAL_FILE, repo_type="space", local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _download_original() -> Path:
    from huggingface_hub import hf_hub_download

    from finetune.hub import TransportError, hub_problem

    problem = hub_problem(_SPACE, kind="space")
    if problem is None:
        try:
            return Path(hf_hub_download(_SPACE, ORIGINAL_FILE, repo_type="space"))
        except (TransportError, OSError) as error:
            problem = f"{type(error).__name__}: {error}".partition("\n")[0]
    raise ValueError(
        f"mask_codec=original: {ORIGINAL_FILE} is not in the local cache and cannot be downloaded ({problem}). Get "
        f"{_URL} by hand and give its path as mask_codec or {ENVIRONMENT_VARIABLE}, or use mask_codec={EMBEDDED}"
    )


def _checked_digest(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, modified: int) -> str:
    """Hash a file after checking that it is a codec, and the original if it is called like it."""
    digest = sha256(path.read_bytes()).hexdigest()
    if path.name == ORIGINAL_FILE and digest != ORIGINAL_SHA256:
        raise ValueError(
            f"{path} is called {ORIGINAL_FILE} but is not the original: {size} bytes, sha256 {digest}; published are "
            f"{ORIGINAL_BYTES} bytes, sha256 {ORIGINAL_SHA256}. Download it again, or give another codec another name"
        )
    read_weights(path)
    return digest


def _some(verb: str, names: list[str]) -> str:
    return f"{verb} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}; " if names else ""
