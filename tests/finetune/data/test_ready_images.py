import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finetune.data import ready_images, shards
from finetune.data.encode import SampleEncoder
from finetune.data.images import content_key
from finetune.data.order import rng_for
from finetune.data.ready_images import ImageReader, pixel_settings, pixel_store
from finetune.data.shards import ShardStore
from finetune.data.workers import load_in_order
from finetune.geometry import Box
from finetune.settings import BoxSpace, DataSettings, Resize
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, ImageBytes, ImageFile, ImagePixels, OutlinedImage, Sample
from recipes.captioning import Captioning

DATA = DataSettings(max_text_tokens=40)
SIDE = 28


def photo(seed=0, form="JPEG", orientation=1, size=(40, 60)) -> ImageBytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, exif=exif)
    return ImageBytes(name=f"photo {seed}", data=stream.getvalue())


def reader(tmp_path: Path | None = None, data=DATA) -> ImageReader:
    pixels = None if tmp_path is None else pixel_store(tmp_path, SIDE, data)
    return ImageReader(image_size=SIDE, data=data, antialias=data.antialias, pixels=pixels)


def same(one: ready_images.ReadyImage, other: ready_images.ReadyImage) -> bool:
    facts = [(image.key, image.size, image.orientation, image.notes) for image in (one, other)]
    return facts[0] == facts[1] and torch.equal(one.pixels_u8, other.pixels_u8)


IMAGES = {
    "a photograph": photo(),
    "a turned photograph": photo(orientation=6),
    "a PNG": photo(form="PNG"),
    "a rendered scene": ImagePixels(name="scene", pixels=np.full((9, 12, 3), 7, dtype=np.uint8)),
}


@pytest.mark.parametrize("case", IMAGES)
@pytest.mark.parametrize("method", Resize)
def test_the_pixel_cache_gives_what_decoding_gives_bit_for_bit(case, method, tmp_path, monkeypatch):
    data = replace(DATA, resize=method)
    plain = reader(data=data).read(IMAGES[case])
    first = reader(tmp_path, data)
    assert same(first.read(IMAGES[case]), plain)
    first.pixels.flush()
    monkeypatch.setattr(ready_images, "decode_image", None)
    assert same(reader(tmp_path, data).read(IMAGES[case]), plain)


def test_a_file_is_known_by_its_content(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(photo().data)
    cached = reader(tmp_path / "cache")
    cached.read(ImageFile(name="a", path=path))
    path.write_bytes(photo(1).data)
    assert same(cached.read(ImageFile(name="a", path=path)), reader().read(photo(1)))
    expected = reader().read(photo())
    monkeypatch.setattr(ready_images, "decode_image", None)
    assert same(cached.read(replace(photo(), name="b")), expected)


def test_every_setting_that_changes_pixels_has_a_cache_of_its_own(tmp_path):
    changes = [
        {},
        {"resize": Resize.hf},
        {"resize": Resize.hf_fast},
        {"antialias": False},
        {"background": 0},
        {"max_pixels": 100},
    ]
    folders = {pixel_store(tmp_path, SIDE, replace(DATA, **change)).folder for change in changes}
    folders.add(pixel_store(tmp_path, 56, DATA).folder)
    assert len(folders) == len(changes) + 1
    assert pixel_store(tmp_path, SIDE, replace(DATA, max_text_tokens=9, num_workers=3)).folder in folders


def test_another_pillow_or_torch_has_a_cache_of_its_own(tmp_path, monkeypatch):
    before = pixel_store(tmp_path, SIDE, DATA).folder
    monkeypatch.setattr(ready_images.PIL, "__version__", "99.0")
    assert pixel_store(tmp_path, SIDE, DATA).folder != before


def test_bad_images_are_refused_each_time_and_never_kept(tmp_path):
    cached = reader(tmp_path)
    broken = ImageBytes(name="cut", data=photo().data[:300])
    for _ in range(2):
        with pytest.raises(BadSampleError, match="truncated-image"):
            cached.read(broken)
    cached.pixels.flush()
    assert len(cached.pixels) == 0


def test_a_damaged_cache_is_made_again_and_counted(tmp_path):
    first = reader(tmp_path)
    first.read(photo())
    first.pixels.flush()
    (path,) = first.pixels.folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    second = reader(tmp_path)
    again = second.read(photo())
    assert again.notes == ("images made again, because data.pixel_cache was damaged",)
    assert torch.equal(again.pixels_u8, reader().read(photo()).pixels_u8)
    assert same(second.read(photo()), reader().read(photo()))


def test_a_full_disk_costs_time_and_nothing_else(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 1)
    image = reader(tmp_path).read(photo())
    assert torch.equal(image.pixels_u8, reader().read(photo()).pixels_u8)
    assert image.notes == ("shards that data.pixel_cache had no room for",)


def test_a_reader_travels_to_a_loader_process(tmp_path):
    sent = pickle.loads(pickle.dumps(reader(tmp_path)))
    assert same(sent.read(photo()), reader().read(photo()))


@dataclass(frozen=True)
class Reading:
    """Reads an image in a loader process."""

    reader: ImageReader
    images: tuple[ImageBytes, ...]

    def __getitem__(self, key: int) -> str:
        return self.reader.read(self.images[key % len(self.images)]).key


def test_loader_processes_leave_what_they_decoded_on_disk_when_they_end(tmp_path, monkeypatch):
    images = tuple(photo(seed) for seed in range(5))
    keys = list(load_in_order(Reading(reader(tmp_path), images), range(10), 2))
    assert keys == [content_key(image) for image in images] * 2
    monkeypatch.setattr(ready_images, "decode_image", None)
    again = reader(tmp_path)
    assert [again.read(image).key for image in images] == keys[:5]


@pytest.fixture(scope="module")
def encoder(repository) -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")
    return SampleEncoder(tokenizer=tokenizer, image_size=SIDE, num_image_tokens=4, data=DATA)


def sample(*images) -> Sample:
    return Sample(sample_id="a", origin="train.jsonl:17", images=images, captions=("a red circle",))


def features_of(tmp_path: Path, *images) -> ShardStore:
    store = ShardStore(tmp_path, "features", shape=(4, 6), dtype=torch.bfloat16, about=pixel_settings(SIDE, DATA))
    for number, image in enumerate(images):
        store.put(
            content_key(image),
            torch.full((4, 6), number + 0.5, dtype=torch.bfloat16),
            ready_images.facts_of(reader().read(image)),
        )
    store.flush()
    return store


def test_states_take_the_place_of_pixels_and_no_image_is_decoded(encoder, tmp_path, monkeypatch):
    images = [photo(0), photo(1, orientation=6), photo(2)]
    store = features_of(tmp_path, *images)
    plain = encoder.encode(sample(*images), Captioning(), rng_for(0, 0, "a"))
    monkeypatch.setattr(ready_images, "decode_image", None)
    cached = replace(encoder, feature_cache=store).encode(sample(*images), Captioning(), rng_for(0, 0, "a"))
    assert cached.pixels_u8.shape == (0, 3, SIDE, SIDE)
    assert cached.image_states.shape == (3, 4, 6)
    assert cached.image_states.dtype == torch.bfloat16
    assert cached.image_states[:, 0, 0].tolist() == [0.5, 1.5, 2.5]
    assert plain.image_states is None
    assert (cached.sample.image_size, cached.example.notes) == (plain.sample.image_size, plain.example.notes)
    assert cached.image_keys == plain.image_keys == tuple(content_key(image) for image in images)


def test_equal_images_have_equal_keys_in_a_sample(encoder):
    encoded = encoder.encode(sample(photo(0), photo(1), photo(0)), Captioning(), rng_for(0, 0, "a"))
    first, second, third = encoded.image_keys
    assert first == third != second


def test_a_stand_in_has_the_shapes_of_the_others(encoder, tmp_path):
    plain = encoder.stand_in("a")
    assert (plain.image_keys, plain.image_states, len(plain.pixels_u8)) == (("stand-in",), None, 1)
    cached = replace(encoder, feature_cache=features_of(tmp_path, photo())).stand_in("a")
    assert len(cached.pixels_u8) == 0
    assert torch.equal(cached.image_states, torch.zeros((1, 4, 6), dtype=torch.bfloat16))


def test_an_image_that_the_feature_cache_lacks_is_named_unless_a_rule_refuses_it(encoder, tmp_path):
    cached = replace(encoder, feature_cache=features_of(tmp_path, photo(0)))
    with pytest.raises(ValueError, match=r"data\.feature_cache: .* lacks photo 1.*start again"):
        cached.encode(sample(photo(1)), Captioning(), rng_for(0, 0, "a"))
    with pytest.raises(BadSampleError, match="truncated-image") as caught:
        cached.encode(sample(ImageBytes(name="cut", data=photo().data[:300])), Captioning(), rng_for(0, 0, "a"))
    assert caught.value.origin == "train.jsonl:17"


def test_a_damaged_feature_cache_is_told_and_gone_at_the_next_start(encoder, tmp_path):
    store = features_of(tmp_path, photo(0))
    (path,) = store.folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    cached = replace(encoder, feature_cache=pickle.loads(pickle.dumps(store)))
    with pytest.raises(ValueError, match=r"data\.feature_cache: .* was damaged and has been removed; start again"):
        cached.encode(sample(photo(0)), Captioning(), rng_for(0, 0, "a"))
    assert not path.exists()


def outlined(image: ImageBytes, color: tuple[int, int, int] = (255, 0, 0)) -> OutlinedImage:
    return OutlinedImage(image=image, box=Box(top=0, left=0, bottom=0.5, right=1), color=color)


def test_a_box_is_painted_after_the_image_was_resized():
    image = photo(1)
    plain, painted = reader().read(image).pixels_u8, reader().read(outlined(image)).pixels_u8
    changed = (plain != painted).any(0)
    middle = int(0.5 * (SIDE - 1))
    # One pixel wide, whatever the size of the photograph.
    assert changed[:, 1:-1].any(1).nonzero().flatten().tolist() == [0, middle]
    assert painted[:, middle, 5].tolist() == [255, 0, 0]
    assert torch.equal(plain[:, middle + 1 :], painted[:, middle + 1 :])


def test_a_box_that_was_drawn_on_the_stored_image_is_turned_with_it():
    # A quarter turn clockwise takes the stored upper half to the right half.
    stored = replace(DATA, boxes_drawn_on=BoxSpace.stored)
    turned = reader(data=stored).read(outlined(photo(1, orientation=6))).pixels_u8
    assert (turned[:, 7, int(0.5 * (SIDE - 1))]).tolist() == [255, 0, 0]
    assert (turned[:, 7, 3]).tolist() != [255, 0, 0]


def test_what_is_painted_is_kept_apart_from_what_is_not(tmp_path):
    image, kept = photo(1), reader(tmp_path)
    wanted = [reader().read(one) for one in (image, outlined(image), outlined(image, (0, 255, 0)))]
    for _ in range(2):
        for one, fresh in zip((image, outlined(image), outlined(image, (0, 255, 0))), wanted, strict=True):
            assert same(kept.read(one), fresh)
    assert len({one.key for one in wanted}) == 3


def test_what_is_smoothed_otherwise_is_kept_apart(tmp_path):
    image = photo(1, size=(300, 300))
    smooth, plain = reader(tmp_path), replace(reader(tmp_path), antialias=False)
    assert not torch.equal(smooth.read(image).pixels_u8, plain.read(image).pixels_u8)
    for one in (smooth, plain):
        assert same(one.read(image), replace(one, pixels=None).read(image))
