"""Masks as text: sixteen segmentation tokens `<seg000>` to `<seg127>` for what lies in a box.

The mask is cut out along its box, resized to 64 x 64, and a small VQ-VAE says each of its 4 x 4 fields as one of 128
codes. Which weights do that is part of what a model has learnt: `CodecChoice.sha256` says which.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens.location import BOX_PATTERN, box_of_match
from finetune.tokens.mask_codec_file import CodecChoice as CodecChoice
from finetune.tokens.mask_codec_file import choose_codec as choose_codec
from finetune.tokens.mask_codec_file import read_weights
from finetune.tokens.mask_window import crop_window, has_pixels, paste

if TYPE_CHECKING:
    from finetune.tokens.mask_network import MaskNetwork

NUM_CODES = 128
NUM_TOKENS = 16
CROP_SIZE = 64

# One group: all sixteen tokens, for `parse_codes`.
MASK_PATTERN = "((?:<seg[0-9]{3}>){16})"

_MASK = re.compile(MASK_PATTERN)
_BOX_AND_MASK = re.compile(BOX_PATTERN + MASK_PATTERN)
_CODE = re.compile("<seg([0-9]{3})>")
_BATCH_SIZE = 64
_REMEMBERED = 32_768


def format_codes(codes: Sequence[int]) -> str:
    """Say sixteen codes as segmentation tokens."""
    return "".join(f"<seg{code:03d}>" for code in codes)


def parse_codes(text: str) -> list[int] | None:
    """Read a text of exactly sixteen segmentation tokens; None if it is none, or a code is above 127."""
    if not _MASK.fullmatch(text):
        return None
    codes = [int(code) for code in _CODE.findall(text)]
    return codes if max(codes) < NUM_CODES else None


def parse_box_and_codes(text: str) -> tuple[Box, list[int]] | None:
    """Read a box and its mask from the very beginning of a text, whatever follows them; None where they are not there.

    Source:
        big_vision evaluators/proj/paligemma/transfers/segmentation.py (0127fb6): four location tokens, then sixteen
        segmentation tokens, the rest ignored.
    """
    match = _BOX_AND_MASK.match(text)
    if match is None:
        return None
    box, codes = box_of_match(match), parse_codes(match[5])
    return None if box is None or codes is None else (box, codes)


class MaskCodec:
    """The network that turns masks into codes and back. Travels to other processes as the name of its file.

    Codes come from single precision on a CPU and double elsewhere, where single may mean TF32; drawings always from
    double, so that they do not depend on batch size or machine.
    """

    def __init__(self, choice: CodecChoice, network: "MaskNetwork", device: str) -> None:
        self.choice = choice
        self.device = device
        self._network = network
        self._known: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()

    @classmethod
    def load(cls, choice: CodecChoice, device: str = "cpu") -> "MaskCodec":
        """Load a codec, once per process. `device` is cpu or cuda, or one of several: cuda:1.

        Raises:
            ValueError: If the file is not the one that was chosen any more.
        """
        return _load(choice, device)

    def __reduce__(self) -> tuple[object, ...]:
        return _load, (self.choice, self.device)

    def encode(self, masks: Sequence[Mask], boxes: Sequence[Box]) -> list[tuple[int, ...]]:
        """Say what lies in each box as sixteen codes. What was said lately is remembered.

        Raises:
            ValueError: If a box covers no pixel of its mask's image after rounding.
        """
        keys = [_key(mask, box) for mask, box in zip(masks, boxes, strict=True)]
        new = {key: index for index, key in enumerate(keys) if key not in self._known}
        found = {key: self._known[key] for key in keys if key in self._known}
        if new:
            crops = np.stack([soft_crop(masks[index], boxes[index]) for index in new.values()])
            found.update(zip(new, (tuple(codes) for codes in self.encode_soft(crops).tolist()), strict=True))
        self._remember(found)
        return [found[key] for key in keys]

    def encode_soft(self, crops: Float[np.ndarray, "n 64 64"]) -> Int64[np.ndarray, "n 16"]:
        """Say 64 x 64 masks as codes. Values are shares in [0, 1]: how much of a pixel is inside."""
        import torch

        codes = np.empty((len(crops), NUM_TOKENS), dtype=np.int64)
        with torch.inference_mode():
            for part in _parts(len(crops)):
                pixels = torch.from_numpy(crops[part]).to(self.device, self._network.encoder_dtype)
                codes[part] = self._network.encode(pixels * 2 - 1).cpu().numpy()
        return codes

    def decode(self, codes: Int[np.ndarray, "n 16"]) -> Float32[np.ndarray, "n 64 64"]:
        """Draw codes: above 0 inside, below outside, about -1 to 1.

        Raises:
            ValueError: If a code is not in 0..127.
        """
        import torch

        if codes.size and not 0 <= codes.min() <= codes.max() < NUM_CODES:
            raise ValueError(f"codes must be between 0 and {NUM_CODES - 1}, got {codes.min()} to {codes.max()}")
        drawn = np.empty((len(codes), CROP_SIZE, CROP_SIZE), dtype=np.float32)
        with torch.inference_mode():
            for part in _parts(len(codes)):
                indices = torch.from_numpy(codes[part].astype(np.int64)).to(self.device)
                drawn[part] = self._network.decode(indices).cpu().numpy()
        return drawn

    def decode_masks(
        self, codes: Sequence[Sequence[int]], boxes: Sequence[Box], image_size: tuple[int, int]
    ) -> list[Mask]:
        """Draw codes into their boxes; a box without a pixel gives a mask without one. `image_size` is (height, width).

        Raises:
            ValueError: If a code is not in 0..127.
        """
        drawn = self.decode(np.array(codes, dtype=np.int64).reshape(-1, NUM_TOKENS))
        return [paste(one, box, image_size) for one, box in zip(drawn, boxes, strict=True)]

    def _remember(self, found: dict[bytes, tuple[int, ...]]) -> None:
        self._known.update(found)
        for key in found:
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def soft_crop(mask: Mask, box: Box) -> Float32[np.ndarray, "64 64"]:
    """Cut a mask out along its box and resize it to 64 x 64, smoothing; shares in [0, 1].

    Raises:
        ValueError: If the box covers no pixel of the mask's image after rounding.

    Source:
        big_vision pp/proj/paligemma/segmentation.py (0127fb6): tf.image.resize(…, "bilinear", antialias=True) / 255.
    """
    import torch

    window = crop_window(box, (mask.height, mask.width))
    if not has_pixels(window):
        raise ValueError(f"{box} covers no pixel of the {mask.width} x {mask.height} image: leave such objects out")
    pixels = torch.from_numpy(mask.to_array()[window].astype(np.float32))
    size = (CROP_SIZE, CROP_SIZE)
    resized = torch.nn.functional.interpolate(pixels[None, None], size, mode="bilinear", antialias=True)
    soft: Float32[np.ndarray, "64 64"] = resized[0, 0].numpy()
    return soft


@lru_cache(maxsize=8)
def _load(choice: CodecChoice, device: str) -> MaskCodec:
    import torch

    from finetune.tokens.mask_network import MaskNetwork

    if sha256(choice.path.read_bytes()).hexdigest() != choice.sha256:
        raise ValueError(f"{choice.path} changed since it was chosen: restart with the file that the run began with")
    # The random initialisation is replaced whole; drawing it would disturb the run's random numbers.
    with torch.device("meta"):
        network = MaskNetwork()
    weights = {name: torch.from_numpy(np.asarray(value)) for name, value in read_weights(choice.path).items()}
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).to(device, torch.float64)
    if torch.device(device).type == "cpu":
        network.encoder.float()
    return MaskCodec(choice, network, device)


def _key(mask: Mask, box: Box) -> bytes:
    return blake2b(repr((mask.height, mask.width, box)).encode() + mask.counts, digest_size=16).digest()


def _parts(total: int) -> Iterator[slice]:
    return (slice(start, start + _BATCH_SIZE) for start in range(0, total, _BATCH_SIZE))
