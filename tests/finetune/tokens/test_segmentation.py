"""Masks as sixteen tokens, there and back."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.data.workers import load_in_order
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens import segmentation
from finetune.tokens.location import encode_box
from finetune.tokens.segmentation import (
    NUM_CODES,
    NUM_TOKENS,
    CodecChoice,
    MaskCodec,
    choose_codec,
    format_codes,
    parse_box_and_codes,
    parse_codes,
    soft_crop,
)

CODES = st.lists(st.integers(0, NUM_CODES - 1), min_size=NUM_TOKENS, max_size=NUM_TOKENS)
WHOLE = Box(top=0, left=0, bottom=1, right=1)

# Of a square in the middle, and of the upper right triangle. The runner-up of every field is 4 % or more farther away.
SQUARE_AND_WEDGE = [
    (68, 55, 68, 68, 55, 34, 44, 120, 120, 88, 90, 68, 68, 16, 16, 55),
    (62, 34, 44, 44, 16, 62, 106, 90, 68, 16, 62, 90, 68, 68, 16, 9),
]


@pytest.fixture(scope="module")
def codec() -> MaskCodec:
    return MaskCodec.load(choose_codec("embedded"))


def _disc(height: int, width: int, box: Box) -> Mask:
    left, top, right, bottom = box.to_xyxy_pixels((height, width))
    rows, columns = np.mgrid[:height, :width] + 0.5
    across = (columns - (left + right) / 2) / max(1e-9, (right - left) / 2)
    down = (rows - (top + bottom) / 2) / max(1e-9, (bottom - top) / 2)
    return Mask.from_array((across**2 + down**2 <= 1).astype(np.uint8))


def _iou(first: Mask, second: Mask) -> float:
    one, other = first.to_array() > 0, second.to_array() > 0
    return float((one & other).sum() / max(1, (one | other).sum()))


@given(CODES)
def test_codes_read_back_as_they_were_said(codes: list[int]) -> None:
    assert parse_codes(format_codes(codes)) == codes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<seg000>" * 15,
        "<seg000>" * 17,
        "<seg000>" * 15 + "<seg128>",
        "<seg000>" * 15 + "<seg00>",
        " " + "<seg000>" * 16,
        "<seg000>" * 16 + "\n",
    ],
)
def test_anything_but_sixteen_codes_is_none(text: str) -> None:
    assert parse_codes(text) is None


@given(CODES, st.text())
def test_a_box_and_codes_are_read_whatever_follows(codes: list[int], rest: str) -> None:
    box = Box(top=0, left=0, bottom=1, right=1)
    assert parse_box_and_codes(encode_box(box) + format_codes(codes) + rest) == (box, codes)


@pytest.mark.parametrize(
    "text",
    [
        "a <loc0000><loc0000><loc1023><loc1023>" + "<seg000>" * 16,
        "<loc0000><loc0000><loc1023>" + "<seg000>" * 16,
        "<loc0000><loc0000><loc1023><loc1023>" + "<seg000>" * 15,
        "<loc0000><loc0000><loc1023><loc1023> " + "<seg000>" * 16,
        "<loc0500><loc0000><loc0500><loc1023>" + "<seg000>" * 16,
        "<loc0000><loc0000><loc1024><loc1023>" + "<seg000>" * 16,
        "<loc0000><loc0000><loc1023><loc1023>" + "<seg999>" * 16,
    ],
)
def test_a_text_without_box_and_codes_at_its_beginning_is_none(text: str) -> None:
    assert parse_box_and_codes(text) is None


@settings(max_examples=25)
@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.3, 0.5), st.floats(0.3, 0.5))
def test_discs_come_back_from_the_embedded_codec(top: float, left: float, height: float, width: float) -> None:
    codec = MaskCodec.load(choose_codec("embedded"))
    box = Box(top=top, left=left, bottom=top + height, right=left + width)
    mask = _disc(240, 320, box)
    (drawn,) = codec.decode_masks(codec.encode([mask], [box]), [box], (240, 320))
    assert _iou(mask, drawn) > 0.8


def test_nothing_and_everything_come_back(codec: MaskCodec) -> None:
    empty, full = Mask.from_array(np.zeros((50, 60), np.uint8)), Mask.from_array(np.ones((50, 60), np.uint8))
    drawn = codec.decode_masks(codec.encode([full], [WHOLE]), [WHOLE], (50, 60))
    assert _iou(full, drawn[0]) > 0.97
    drawn = codec.decode_masks(codec.encode([empty], [WHOLE]), [WHOLE], (50, 60))
    assert drawn[0].area_pixels < 0.1 * 50 * 60


def test_the_embedded_codes_of_known_masks_do_not_change(codec: MaskCodec) -> None:
    """A model that learnt these codes reads no others."""
    square = np.zeros((64, 64), np.uint8)
    square[16:48, 16:48] = 1
    wedge = np.triu(np.ones((64, 64), np.uint8))
    codes = codec.encode([Mask.from_array(square), Mask.from_array(wedge)], [WHOLE, WHOLE])
    assert codes == SQUARE_AND_WEDGE


def test_encoding_does_not_depend_on_the_batch(codec: MaskCodec) -> None:
    crops = np.random.default_rng(0).random((9, 64, 64), dtype=np.float32)
    together = codec.encode_soft(crops)
    alone = np.concatenate([codec.encode_soft(crop[None]) for crop in crops])
    assert np.array_equal(together, alone)


def test_drawing_does_not_depend_on_the_batch(codec: MaskCodec) -> None:
    codes = np.random.default_rng(0).integers(0, NUM_CODES, (70, NUM_TOKENS))
    together = codec.decode(codes)
    assert together.shape == (70, 64, 64)
    assert np.allclose(together[:3], codec.decode(codes[:3]), rtol=0, atol=1e-6)


def test_no_masks_are_no_work(codec: MaskCodec) -> None:
    assert codec.encode([], []) == []
    assert codec.decode_masks([], [], (10, 10)) == []
    assert codec.encode_soft(np.zeros((0, 64, 64), np.float32)).shape == (0, NUM_TOKENS)


def test_a_code_that_no_codec_has_is_refused(codec: MaskCodec) -> None:
    with pytest.raises(ValueError, match="codes must be between 0 and 127, got 0 to 128"):
        codec.decode_masks([[0] * 15 + [128]], [WHOLE], (10, 10))


def test_a_box_without_a_pixel_cannot_be_said(codec: MaskCodec) -> None:
    thin = Box(top=0.11, left=0, bottom=0.14, right=1)
    with pytest.raises(ValueError, match="covers no pixel of the 10 x 10 image"):
        codec.encode([Mask.from_array(np.ones((10, 10), np.uint8))], [thin])


def test_a_crop_is_soft_where_the_mask_shrinks() -> None:
    pixels = np.zeros((192, 192), np.uint8)
    pixels[:, :95] = 1
    soft = soft_crop(Mask.from_array(pixels), WHOLE)
    assert soft[:, :31].min() == 1
    assert soft[:, 33:].max() == 0
    assert 0 < soft[10, 31] < 1


def test_what_was_encoded_lately_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = _fresh()
    first, second = _disc(90, 90, WHOLE), Mask.from_array(np.eye(90, dtype=np.uint8))
    said = codec.encode([first, second, first], [WHOLE] * 3)
    monkeypatch.setattr(MaskCodec, "encode_soft", _not_called)
    assert codec.encode([second, first], [WHOLE] * 2) == [said[1], said[0]]
    assert said[0] == said[2]


def test_memory_of_what_was_encoded_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "_REMEMBERED", 2)
    codec = _fresh()
    masks = [_disc(20, 20 + index, WHOLE) for index in range(4)]
    codec.encode(masks, [WHOLE] * 4)
    assert len(codec._known) == 2


def test_another_box_is_another_crop(codec: MaskCodec) -> None:
    mask = _disc(90, 90, WHOLE)
    quarter = Box(top=0, left=0, bottom=0.5, right=0.5)
    whole, part = codec.encode([mask, mask], [WHOLE, quarter])
    assert whole != part


def test_a_codec_is_loaded_once_in_a_process_and_travels_by_name(codec: MaskCodec) -> None:
    assert MaskCodec.load(choose_codec(None)) is codec
    assert len(pickle.dumps(codec)) < 2000
    assert pickle.loads(pickle.dumps(codec)) is codec


class _CodesOfDiscs:
    """What a loader process does: choose, load, encode."""

    def __init__(self, codec: MaskCodec) -> None:
        self.codec = codec

    def __getitem__(self, key: int) -> tuple[int, ...]:
        return self.codec.encode([_disc(50, 50 + key, WHOLE)], [WHOLE])[0]


def test_loader_processes_encode_as_the_main_one_does(codec: MaskCodec) -> None:
    values = _CodesOfDiscs(codec)
    assert list(load_in_order(values, range(6), 2)) == [values[key] for key in range(6)]


def test_a_file_that_changed_after_it_was_chosen_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codec.safetensors"
    path.write_bytes(choose_codec("embedded").path.read_bytes())
    choice = choose_codec(str(path))
    path.write_bytes(path.read_bytes()[:-2] + b"\0\0")
    with pytest.raises(ValueError, match="changed since it was chosen"):
        MaskCodec.load(choice)


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "codec.safetensors"
    path.write_bytes(choose_codec("embedded").path.read_bytes())
    before = torch.get_rng_state()
    MaskCodec.load(choose_codec(str(path)))
    assert torch.equal(before, torch.get_rng_state())


def test_choosing_and_reading_text_need_no_torch(repository: Path) -> None:
    program = (
        "import sys; from finetune.tokens.segmentation import choose_codec, parse_codes; choose_codec('embedded'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=repository)


@pytest.mark.parametrize("number", range(12))
def test_whole_suffixes_are_those_of_the_original(oracles: Path, number: int) -> None:
    codec = MaskCodec.load(choose_codec(str(oracles / "mask_vqvae_random.checkpoint.npz")))
    expected = np.load(oracles / "mask_vqvae_random.expected.npz")
    mask = Mask.from_array(expected[f"full_mask_{number:02d}"])
    top, left, bottom, right = expected["boxes_yxyx"][number].tolist()
    box = Box(top=top, left=left, bottom=bottom, right=right)
    (codes,) = codec.encode([mask], [box])
    assert encode_box(box) + format_codes(codes) == expected["suffixes"][number]


def _fresh() -> MaskCodec:
    choice: CodecChoice = choose_codec("embedded")
    loaded = MaskCodec.load(choice)
    return MaskCodec(choice, loaded._network, "cpu")


def _not_called(*_: object) -> None:
    raise AssertionError("everything was said before")
