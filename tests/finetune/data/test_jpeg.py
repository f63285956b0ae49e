import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from finetune.data import jpeg
from finetune.data.images import DecodedImage, decode_image
from finetune.data.jpeg import JpegDecoder, is_exact, jpeg_decoder
from finetune.types import BadSampleError, ImageBytes, ImageFile

MAX_PIXELS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _some_decoder():
    if jpeg_decoder() is None:
        pytest.skip("neither simplejpeg nor torchvision decodes here")


def photo(height=83, width=125) -> Image.Image:
    """Waves with noise: every frequency of a block is there."""
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(columns / 7 + rows / 11), 127 + 90 * np.cos(rows / 3), (rows * columns) % 256]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8))


def saved(image: Image.Image, form="JPEG", **how) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **how)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


CORPUS = {
    **{f"quality {quality}": saved(photo(), quality=quality) for quality in (1, 30, 75, 95, 100)},
    **{f"subsampling {kind}": saved(photo(), quality=90, subsampling=kind) for kind in (0, 1, 2)},
    "progressive": saved(photo(), quality=80, progressive=True),
    "progressive 4:4:4": saved(photo(), quality=80, progressive=True, subsampling=0),
    "optimised": saved(photo(), optimize=True),
    "with restarts": saved(photo(), restart_marker_blocks=3),
    "stored as RGB": saved(photo(), keep_rgb=True),
    "grey": saved(photo().convert("L")),
    "grey, progressive": saved(photo().convert("L"), progressive=True),
    **{f"turned {number}": saved(photo(), exif=turned(number)) for number in range(1, 9)},
    "one pixel high": saved(photo(1, 40)),
    "smaller than a block": saved(photo(5, 3)),
    "two frames": saved(photo(), "MPO", save_all=True, append_images=[photo().rotate(180)]),
    "with a profile": saved(photo(), icc_profile=b"profile" * 99),
    "with a comment": saved(photo(), comment="here"),
    "with bytes behind its end": saved(photo()) + b"\xff\xd8 a film, perhaps" * 50,
    "without its end": saved(photo())[:-2],
}


def decoded(data: bytes) -> DecodedImage:
    return decode_image(ImageBytes(name="a", data=data), max_pixels=MAX_PIXELS, background=255)


def outcome(data: bytes, monkeypatch: pytest.MonkeyPatch, *, by_pillow: bool) -> tuple[object, ...]:
    """What becomes of an image: pixels and notes, or the refusal's code."""
    with monkeypatch.context() as patch:
        if by_pillow:
            patch.setattr(jpeg, "jpeg_decoder", lambda: None)
        try:
            image = decoded(data)
        except BadSampleError as error:
            return (error.code, error.message)
        return (image.pixels.shape, image.pixels.tobytes(), image.orientation, image.notes)


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note each time the fast decoder is asked, and whether it could do it."""
    known, calls = jpeg_decoder(), []

    def decode(data: bytes, size: tuple[int, int]) -> np.ndarray:
        calls.append(False)
        pixels = known.decode(data, size)
        calls[-1] = True
        return pixels

    monkeypatch.setattr(jpeg, "jpeg_decoder", lambda: JpegDecoder(name="counted", decode=decode))
    return calls


@pytest.mark.parametrize("case", CORPUS)
def test_pixels_are_those_of_pillow_bit_for_bit(case, monkeypatch):
    assert outcome(CORPUS[case], monkeypatch, by_pillow=False) == outcome(CORPUS[case], monkeypatch, by_pillow=True)


def test_ordinary_photographs_are_not_left_to_pillow(monkeypatch):
    calls = count_calls(monkeypatch)
    sound = [data for case, data in CORPUS.items() if not case.startswith("without its end")]
    for data in sound:
        decoded(data)
    assert calls == [True] * len(sound)


def test_cmyk_and_other_formats_are(monkeypatch):
    calls = count_calls(monkeypatch)
    for data in (saved(photo().convert("CMYK")), saved(photo(), "PNG"), saved(photo(), "WEBP")):
        decoded(data)
    assert calls == []


def test_real_photographs_are_the_same_as_well(bccd, monkeypatch):
    paths = sorted(bccd.rglob("*.jpg"))[:12]
    assert paths, "the photographs are JPEGs"
    for path in paths:
        data = path.read_bytes()
        assert outcome(data, monkeypatch, by_pillow=False) == outcome(data, monkeypatch, by_pillow=True)
        from_file = decode_image(ImageFile(name="a", path=path), max_pixels=MAX_PIXELS, background=255)
        assert np.array_equal(from_file.pixels, decoded(data).pixels)


@pytest.mark.parametrize("case", ["quality 75", "progressive", "grey"])
def test_a_photograph_that_is_cut_anywhere_is_refused_for_the_same_reason(case, monkeypatch):
    whole = CORPUS[case]
    for length in range(1, len(whole), len(whole) // 60):
        fast, slow = (outcome(whole[:length], monkeypatch, by_pillow=flag) for flag in (False, True))
        assert fast == slow, f"cut at {length} of {len(whole)}"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_has_the_same_end_whoever_decodes(data, monkeypatch):
    content = bytearray(
        CORPUS[data.draw(st.sampled_from(["quality 30", "progressive", "stored as RGB", "two frames"]))]
    )
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(1, len(content)))])
    assert outcome(damaged, monkeypatch, by_pillow=False) == outcome(damaged, monkeypatch, by_pillow=True)


def test_a_second_header_with_another_size_is_not_believed():
    with pytest.raises(ValueError, match="two sizes"):
        jpeg_decoder().decode(CORPUS["grey"], (84, 125))


def wrong(change: Callable[[np.ndarray], np.ndarray]) -> JpegDecoder:
    return JpegDecoder(name="wrong", decode=lambda data, size: change(jpeg_decoder().decode(data, size)))


def test_a_decoder_with_other_pixels_is_found_out():
    assert is_exact(jpeg_decoder())
    assert not is_exact(wrong(lambda pixels: pixels ^ (np.arange(pixels.size).reshape(pixels.shape) == 777)))
    assert not is_exact(wrong(lambda pixels: pixels[..., ::-1]))
    assert not is_exact(wrong(lambda pixels: pixels[:-1]))


def test_a_decoder_that_refuses_good_photographs_is_not_used():
    def refuse(data: bytes, size: tuple[int, int]) -> np.ndarray:
        raise RuntimeError("no")

    assert not is_exact(JpegDecoder(name="refusing", decode=refuse))


def test_without_any_decoder_pillow_does_it_all(monkeypatch):
    monkeypatch.setattr(jpeg, "_simplejpeg", lambda: __import__("a_library_that_is_not_there"))
    monkeypatch.setattr(jpeg, "_torchvision", lambda: (_ for _ in ()).throw(RuntimeError("built for CUDA")))
    monkeypatch.setattr(jpeg, "jpeg_decoder", jpeg_decoder.__wrapped__)
    assert jpeg.jpeg_decoder() is None
    assert decoded(CORPUS["grey"]).pixels.shape == (83, 125, 3)


def test_torchvision_decodes_the_same_where_it_imports(monkeypatch):
    try:
        decoder = jpeg._torchvision()
    except (ImportError, RuntimeError, OSError, AttributeError):
        pytest.skip("torchvision does not import here")
    monkeypatch.setattr(jpeg, "jpeg_decoder", lambda: decoder)
    for data in CORPUS.values():
        assert outcome(data, monkeypatch, by_pillow=False) == outcome(data, monkeypatch, by_pillow=True)
