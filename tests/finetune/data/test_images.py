import contextlib
import io
import os
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from finetune.data.images import content_key, decode_image, held, resize
from finetune.settings import Resize
from finetune.types import IMAGE_FORMATS, BadSampleError, ImageBytes, ImagePixels
from finetune.types import ImageFile as FileReference

MAX_PIXELS = 50_000_000


def decode(data: bytes, *, max_pixels=MAX_PIXELS, background=255):
    return decode_image(ImageBytes(name="cell 3", data=data), max_pixels=max_pixels, background=background)


def saved(image: Image.Image, form: str, **how) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **how)
    return stream.getvalue()


def ramp(height=24, width=32) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits=8, color=0, data: bytes, extra=b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def bomb(side: int) -> bytes:
    """A black square that takes kilobytes on disk and side * side bytes in memory."""
    squeeze = zlib.compressobj(9)
    row = bytes(side + 1)
    return png(side, side, data=b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush())


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


JPEG = saved(ramp(240, 320), "JPEG", quality=95)
PNG = saved(ramp(240, 320), "PNG")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"

REFUSED = {
    "empty": (b"", "empty-file"),
    "10 bytes of a JPEG": (JPEG[:10], "truncated-image"),
    "100 bytes of a JPEG": (JPEG[:100], "truncated-image"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "truncated-image"),
    "a PNG cut in its pixels": (PNG[: len(PNG) // 2], "truncated-image"),
    "a PNG with a flipped bit": (flipped(PNG, len(PNG) // 2), "broken-image"),
    "a web page": (HTML, "unknown-format"),
    "a PostScript program": (EPS, "unknown-format"),
    "a header that claims 100 000 squared": (png(100_000, 100_000, data=zlib.compress(bytes(100))), "too-many-pixels"),
    "a header that claims more than the file holds": (
        png(6_000, 6_000, data=zlib.compress(b"")[:4]),
        "truncated-image",
    ),
    "a bomb of 81 Mpx": (bomb(9_000), "too-many-pixels"),
    "a bomb of 144 Mpx": (bomb(12_000), "too-many-pixels"),
    "a bomb of 400 Mpx": (bomb(20_000), "too-many-pixels"),
    "one pixel": (saved(Image.new("RGB", (1, 1)), "PNG"), "single-pixel"),
    "a line one pixel high": (saved(Image.new("L", (20_000, 1)), "PNG"), "extreme-aspect"),
    "a line one pixel wide": (saved(Image.new("L", (1, 20_000)), "PNG"), "extreme-aspect"),
    "a floating-point TIFF": (saved(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "unsupported-colors"),
    "a TIFF with levels over 16 bits": (
        saved(Image.fromarray(np.full((9, 9), 1 << 20, np.int32)), "TIFF"),
        "unsupported-colors",
    ),
    "a GIF without pixels": (saved(ramp(), "GIF")[:20], "unknown-format"),
    "half a TIFF": (saved(ramp(), "TIFF")[:1200], "truncated-image"),
    "half a WebP": (saved(ramp(), "WEBP", lossless=True)[:60], "broken-image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_image_that_cannot_be_trusted_is_refused_by_name_and_fast(case):
    data, code = REFUSED[case]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadSampleError) as caught:
            decode(data)
    assert caught.value.code == code, str(caught.value)
    assert (caught.value.origin, caught.value.field_name) == ("cell 3", "image")
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 2


def test_the_same_content_in_a_file_named_jpg_is_refused_as_well(tmp_path):
    for case, (data, code) in REFUSED.items():
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        with pytest.raises(BadSampleError) as caught:
            decode_image(FileReference(name=case, path=path), max_pixels=MAX_PIXELS, background=255)
        assert (caught.value.origin, caught.value.code) == (case, code)


def not_files(folder: Path) -> dict[str, tuple[Path, str]]:
    os.mkfifo(folder / "fifo.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    return {
        "a FIFO that nobody writes to": (folder / "fifo.jpg", "not-a-file"),
        "a folder": (folder / "folder.jpg", "not-a-file"),
        "a device": (Path("/dev/zero"), "not-a-file"),
        "nothing": (folder / "nothing.jpg", "missing-file"),
        "a symlink to itself": (folder / "loop.jpg", "unreadable-file"),
        "a name with a NUL": (folder / "a\0b.jpg", "unreadable-file"),
        "a name of 4096 letters": (folder / ("a" * 4096), "unreadable-file"),
    }


def test_only_regular_files_are_opened(tmp_path):
    for case, (path, code) in not_files(tmp_path).items():
        with pytest.raises(BadSampleError) as caught:
            decode_image(FileReference(name=case, path=path), max_pixels=MAX_PIXELS, background=255)
        assert (caught.value.origin, caught.value.code) == (case, code)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(BadSampleError, match="unreadable-file"):
        decode_image(FileReference(name="secret", path=path), max_pixels=MAX_PIXELS, background=255)


def test_truncated_images_are_never_completed_silently():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_the_limit_on_pixels_is_the_setting():
    assert decode(PNG, max_pixels=240 * 320).pixels.shape == (240, 320, 3)
    with pytest.raises(BadSampleError, match=r"320 x 240 pixels exceed data\.max_pixels=76799"):
        decode(PNG, max_pixels=240 * 320 - 1)


def test_sides_of_fifty_to_one_are_the_longest():
    assert decode(saved(Image.new("L", (50, 1)), "PNG")).pixels.shape == (1, 50, 3)
    with pytest.raises(BadSampleError, match="extreme-aspect"):
        decode(saved(Image.new("L", (51, 1)), "PNG"))


def test_pixels_that_were_never_encoded_pass_through_under_the_same_limits():
    pixels = np.asarray(ramp())
    reference = ImagePixels(name="scene", pixels=pixels)
    assert decode_image(reference, max_pixels=MAX_PIXELS, background=0).pixels is pixels
    with pytest.raises(BadSampleError, match="too-many-pixels"):
        decode_image(reference, max_pixels=100, background=0)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_back_what_was_saved(form):
    decoded = decode(saved(ramp(), form, **({"lossless": True} if form == "WEBP" else {})))
    assert np.array_equal(decoded.pixels, np.asarray(ramp()))
    assert (decoded.orientation, decoded.notes) == (1, ())


@pytest.mark.parametrize("form", IMAGE_FORMATS)
def test_every_format_that_may_arrive_is_decoded(form):
    assert decode(saved(ramp(), form)).pixels.shape == np.asarray(ramp()).shape


def test_a_jpeg_is_close_to_what_was_saved_progressive_or_not():
    for progressive in (False, True):
        decoded = decode(saved(ramp(240, 320), "JPEG", quality=95, progressive=progressive))
        assert np.abs(decoded.pixels.astype(int) - np.asarray(ramp(240, 320))).mean() < 2


def test_a_png_without_its_end_mark_is_whole():
    assert np.array_equal(decode(PNG[:-12]).pixels, decode(PNG).pixels)
    assert np.array_equal(decode(PNG[:-2]).pixels, decode(PNG).pixels)


def test_the_first_frame_is_used_and_counted():
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    for form in ("GIF", "TIFF", "WEBP", "PNG"):
        how = {"lossless": True} if form == "WEBP" else {}
        decoded = decode(saved(frames[0], form, save_all=True, append_images=frames[1:], **how))
        assert (decoded.pixels == (255, 0, 0)).all(), form
        assert decoded.notes == ("images with several frames cut to the first",), form


def quadrants() -> np.ndarray:
    """A 16 x 24 picture (height x width) that looks different in each of the eight orientations."""
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:8, :8] = (255, 0, 0)
    pixels[:8, 16:] = (0, 255, 0)
    pixels[8:, :8] = (0, 0, 255)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_viewers_do(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    decoded = decode(saved(Image.fromarray(quadrants()), form, exif=exif, **how))
    # Exif 2.32: where the stored row 0 and column 0 are shown.
    shown = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }[orientation](quadrants())
    assert decoded.pixels.shape == shown.shape
    assert np.abs(decoded.pixels.astype(int) - shown).max() <= (3 if form == "JPEG" else 0)
    assert decoded.orientation == orientation
    assert decoded.notes == (() if orientation == 1 else ("images turned by their EXIF orientation",))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_as_stored(value):
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode(saved(ramp(), "PNG", exif=exif)).orientation == 1


@pytest.mark.parametrize("exif", [b"", b"nonsense", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
def test_exif_that_cannot_be_read_turns_nothing(exif):
    decoded = decode(saved(ramp(240, 320), "JPEG", quality=95, exif=b"Exif\0\0" + exif))
    assert np.array_equal(decoded.pixels, decode(JPEG).pixels)
    assert (decoded.orientation, decoded.notes) == (1, ())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_anywhere_is_either_harmless_or_a_refusal(data):
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]))
    content = bytearray(saved(ramp(), form))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.one_of(st.integers(0, min(80, len(content) - 1)), st.integers(0, len(content) - 1)))
        content[place] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(BadSampleError):
        assert decode(damaged, max_pixels=1_000_000).pixels.dtype == np.uint8


@given(grey=st.integers(0, 255), height=st.integers(1, 300), width=st.integers(1, 300), antialias=st.booleans())
def test_a_flat_image_stays_flat(grey, height, width, antialias):
    pixels = np.full((height, width, 3), grey, dtype=np.uint8)
    for method in Resize:
        assert (resize(pixels, image_size=56, method=method, antialias=antialias) == grey).all()


def test_a_large_flat_image_stays_flat():
    pixels = np.full((5000, 5000, 3), 254, dtype=np.uint8)
    for antialias in (True, False):
        assert (resize(pixels, image_size=56, method=Resize.reference, antialias=antialias) == 254).all()


@pytest.mark.parametrize("method", Resize)
def test_an_image_of_the_right_size_is_unchanged(method):
    pixels = np.asarray(ramp(56, 56))
    resized = resize(pixels, image_size=56, method=method, antialias=True)
    assert np.array_equal(resized.permute(1, 2, 0).numpy(), pixels)


def test_reference_drops_the_fraction_and_takes_pixel_centres():
    pixels = np.array([[[0] * 3, [101] * 3]], dtype=np.uint8)
    # By hand: outputs 0, 1, 2, 3 sit at inputs -0.25, 0.25, 0.75, 1.25, and outside the edge value holds.
    resized = resize(pixels, image_size=4, method=Resize.reference, antialias=False)
    assert resized[0, 0].tolist() == [0, 25, 75, 101]


def test_antialias_averages_what_plain_interpolation_jumps_over():
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[::8] = 255
    smooth = resize(pixels, image_size=8, method=Resize.reference, antialias=True)
    plain = resize(pixels, image_size=8, method=Resize.reference, antialias=False)
    assert (plain == 0).all()
    assert smooth.float().mean().item() == pytest.approx(255 / 8, abs=2)


@pytest.mark.parametrize(("height", "width", "size"), [(480, 640, 224), (100, 60, 224), (37, 500, 56), (300, 300, 448)])
def test_hf_is_the_pillow_processor_of_transformers_bit_for_bit(height, width, size):
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    processor = SiglipImageProcessorPil(size={"height": size, "width": size}, do_rescale=False, do_normalize=False)
    theirs = np.asarray(processor(Image.fromarray(pixels))["pixel_values"][0])
    ours = resize(pixels, image_size=size, method=Resize.hf, antialias=True).numpy()
    assert ours.shape == theirs.shape
    assert np.array_equal(ours, theirs)


def test_the_result_does_not_depend_on_the_number_of_threads():
    pixels = np.random.default_rng(0).integers(0, 256, (333, 217, 3)).astype(np.uint8)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(resize(pixels, image_size=224, method=Resize.reference, antialias=True))
    torch.set_num_threads(before)
    assert torch.equal(*results)


@settings(max_examples=40)
@given(height=st.integers(16, 300), width=st.integers(16, 300), size=st.sampled_from([28, 224]), seed=st.integers(0))
def test_hf_fast_is_within_two_levels_of_hf(height, width, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    exact, fast = (
        resize(pixels, image_size=size, method=method, antialias=True).int() for method in (Resize.hf, Resize.hf_fast)
    )
    assert (exact - fast).abs().max() <= 2
    assert (exact - fast).abs().float().mean() < 0.03


def test_hf_fast_is_the_torchvision_processor_of_transformers_bit_for_bit():
    try:
        import torchvision  # noqa: F401
        from transformers.models.siglip.image_processing_siglip import SiglipImageProcessor
    except (ImportError, RuntimeError, OSError):
        pytest.skip("torchvision does not import here")
    processor = SiglipImageProcessor(size={"height": 224, "width": 224}, do_rescale=False, do_normalize=False)
    for height, width in ((480, 640), (100, 60), (333, 217)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
        theirs = torch.as_tensor(processor(torch.from_numpy(pixels).permute(2, 0, 1))["pixel_values"][0])
        ours = resize(pixels, image_size=224, method=Resize.hf_fast, antialias=True)
        assert torch.equal(ours, theirs.to(torch.uint8))


def test_keys_are_equal_for_equal_content_wherever_it_lies(tmp_path):
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (tmp_path / "b.png").write_bytes(JPEG)
    files = [FileReference(name=name, path=tmp_path / name) for name in ("a.jpg", "b.png")]
    keys = {content_key(one) for one in (*files, *map(held, files), ImageBytes(name="c", data=JPEG))}
    assert len(keys) == 1
    assert keys != {content_key(ImageBytes(name="a.jpg", data=PNG))}


def test_keys_of_pixels_depend_on_their_shape():
    keys = {
        content_key(ImagePixels(name="scene", pixels=np.zeros(shape, dtype=np.uint8)))
        for shape in ((2, 6, 3), (6, 2, 3), (3, 4, 3), (3, 4, 3))
    }
    assert len(keys) == 3
    upside_down = np.asarray(ramp())[::-1]
    assert content_key(ImagePixels(name="a", pixels=upside_down)) == content_key(
        ImagePixels(name="b", pixels=upside_down.copy())
    )


def test_a_held_file_is_not_read_again(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    content = held(FileReference(name="a", path=path))
    path.unlink()
    assert np.array_equal(decode_image(content, max_pixels=MAX_PIXELS, background=255).pixels, decode(JPEG).pixels)


def test_what_is_no_file_is_refused_before_it_is_held(tmp_path):
    for case, (path, code) in not_files(tmp_path).items():
        for ask in (held, content_key):
            with pytest.raises(BadSampleError) as caught:
                ask(FileReference(name=case, path=path))
            assert (caught.value.origin, caught.value.code) == (case, code)
