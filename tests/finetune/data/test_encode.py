import io
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from finetune.data.encode import SampleEncoder
from finetune.data.order import rng_for
from finetune.geometry import Box
from finetune.settings import BoxSpace, DataSettings, OnOverlong, Resize
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, Example, ImageBytes, ImagePixels, Instance, Sample
from recipes.captioning import Captioning

RNG = rng_for(0, 0, "a")


@pytest.fixture(scope="module")
def tokenizer(repository) -> Tokenizer:
    return Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")


@pytest.fixture
def encoder(tokenizer) -> SampleEncoder:
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=DataSettings(max_text_tokens=40))


def with_data(encoder: SampleEncoder, **settings) -> SampleEncoder:
    return replace(encoder, data=replace(encoder.data, **settings))


def flat(color, size=(20, 30), name="scene") -> ImagePixels:
    return ImagePixels(name=name, pixels=np.full((*size, 3), color, dtype=np.uint8))


def sample(*images, **fields) -> Sample:
    captions = fields.pop("captions", ("a red circle",))
    return Sample(sample_id="a", origin="train.jsonl:17", images=images or (flat(7),), captions=captions, **fields)


def turned_photo() -> ImageBytes:
    """40 rows of 60 pixels as stored, to be shown as 60 rows of 40."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (60, 40)).save(stream, "PNG", exif=exif)
    return ImageBytes(name="photo", data=stream.getvalue())


@dataclass(frozen=True, kw_only=True)
class LastImages(Captioning):
    """Shows the model the images in reverse order, without the first one."""

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        return replace(super().encode(sample, rng), images=sample.images[:0:-1])


def test_a_sample_becomes_text_ids_and_pixels_with_its_size_filled_in(encoder, tokenizer):
    encoded = encoder.encode(sample(), Captioning(), RNG)
    assert (encoded.example.prefix, encoded.example.suffix) == ("caption en", "a red circle")
    assert tokenizer.decode(encoded.tokenized.input_ids[encoded.tokenized.is_suffix].tolist()) == "a red circle"
    assert (encoded.tokenized.input_ids == tokenizer.image_token_id).sum() == 4
    assert encoded.sample == replace(sample(encoded.sample.images[0]), image_size=(20, 30))
    assert torch.equal(encoded.pixels_u8, torch.full((1, 3, 28, 28), 7, dtype=torch.uint8))


def test_a_prefix_is_the_example_without_what_is_to_be_said(encoder):
    prefix, whole = encoder.ask(sample(), Captioning()), encoder.encode(sample(), Captioning(), RNG)
    assert prefix.tokenized.num_targets == 0
    assert whole.tokenized.input_ids[~whole.tokenized.is_suffix].tolist() == prefix.tokenized.input_ids.tolist()
    assert torch.equal(prefix.pixels_u8, whole.pixels_u8)


def test_the_recipes_images_are_shown_in_the_recipes_order(encoder, tokenizer):
    encoded = encoder.encode(sample(flat(1), flat(2), flat(3)), LastImages(), RNG)
    assert encoded.pixels_u8[:, 0, 0, 0].tolist() == [3, 2]
    assert (encoded.tokenized.input_ids == tokenizer.image_token_id).sum() == 8


def test_images_are_shown_again_or_left_out_until_they_are_as_many_as_asked_for(encoder, tokenizer):
    three = sample(flat(1), flat(2), flat(3))
    for num_images, shown, notes in (
        (None, [1, 2, 3], {}),
        (2, [1, 2], {"images over data.num_images": 1}),
        (3, [1, 2, 3], {}),
        (7, [1, 2, 3, 1, 2, 3, 1], {"images shown again for data.num_images": 4}),
    ):
        for encoded in (
            with_data(encoder, num_images=num_images).encode(three, Captioning(), RNG),
            with_data(encoder, num_images=num_images).ask(three, Captioning()),
        ):
            assert encoded.pixels_u8[:, 0, 0, 0].tolist() == shown
            assert (encoded.tokenized.input_ids == tokenizer.image_token_id).sum() == 4 * len(shown)
            assert [image.pixels[0, 0, 0] for image in encoded.sample.images] == shown
            assert encoded.example.notes == notes


def test_an_image_that_is_left_out_is_not_even_decoded(encoder):
    broken = ImageBytes(name="broken", data=b"")
    assert with_data(encoder, num_images=1).encode(sample(flat(1), broken), Captioning(), RNG).pixels_u8.shape[0] == 1


@pytest.mark.parametrize("to_ids", ["encode", "ask"])
def test_a_row_of_more_images_than_anybody_expects_is_refused_before_one_is_decoded(encoder, to_ids):
    broken = ImageBytes(name="broken", data=b"")
    limited = with_data(encoder, max_images=3)
    message = r"4 images are over data\.max_images=3; set data\.num_images .*, or raise data\.max_images"
    rest = (Captioning(), RNG) if to_ids == "encode" else (Captioning(),)
    assert len(getattr(limited, to_ids)(sample(flat(1), flat(2), flat(3)), *rest).pixels_u8) == 3
    with pytest.raises(BadSampleError, match=message) as caught:
        getattr(limited, to_ids)(sample(*(broken,) * 4), *rest)
    assert (caught.value.code, caught.value.origin) == ("too-many-images", "train.jsonl:17")


def test_where_the_number_of_images_is_said_a_row_may_have_any_number(encoder):
    several = sample(*(flat(number) for number in range(9)))
    chosen = with_data(encoder, num_images=5, max_images=3)
    assert len(chosen.encode(several, Captioning(), RNG).pixels_u8) == 5


def test_more_images_than_a_row_holds_are_one_bad_sample(encoder):
    packed = with_data(encoder, row_tokens=45)
    packed.encode(sample(flat(1)), Captioning(), RNG)
    message = r"12 images and the text are \d+ tokens, over data\.row_tokens=45"
    with pytest.raises(BadSampleError, match=message) as caught:
        packed.encode(sample(*(flat(1) for _ in range(12))), Captioning(), RNG)
    assert (caught.value.code, caught.value.origin) == ("too-many-images", "train.jsonl:17")
    packed.ask(sample(*(flat(1) for _ in range(12))), Captioning())


def test_the_settings_choose_the_resize(encoder):
    noise = ImagePixels(name="n", pixels=np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8))
    pixels = [
        with_data(encoder, resize=method, antialias=antialias).encode(sample(noise), Captioning(), RNG).pixels_u8
        for method, antialias in ((Resize.reference, True), (Resize.reference, False), (Resize.hf, True))
    ]
    assert not torch.equal(pixels[0], pixels[1])
    assert not torch.equal(pixels[0], pixels[2])


def test_boxes_of_a_turned_photo_are_turned_where_they_were_drawn_on_the_stored_one(encoder):
    top_left = Instance(label="cell", box=Box(top=0, left=0, bottom=0.5, right=0.25))
    seen = {
        space: with_data(encoder, boxes_drawn_on=space)
        .encode(sample(turned_photo(), instances=(top_left,)), Captioning(), RNG)
        .sample
        for space in BoxSpace
    }
    # A quarter turn clockwise takes the stored top left corner to the top right.
    assert seen[BoxSpace.stored].instances[0].box == Box(top=0, left=0.5, bottom=0.25, right=1)
    assert seen[BoxSpace.oriented].instances[0].box == top_left.box
    assert {one.image_size for one in seen.values()} == {(60, 40)}


def test_what_happened_to_image_and_text_is_counted(encoder, tokenizer):
    short = with_data(encoder, on_overlong=OnOverlong.truncate, max_text_tokens=len(tokenizer.encode("caption en")) + 2)
    encoded = short.encode(sample(turned_photo()), Captioning(), RNG)
    assert encoded.example.notes == {
        "images turned by their EXIF orientation": 1,
        "examples cut at data.max_text_tokens": 1,
    }
    assert encoder.encode(sample(), Captioning(), RNG).example.notes == {}


def test_what_the_source_left_out_is_counted_with_the_rest(encoder):
    twice = {"boxes clipped to the image": 2, "images turned by their EXIF orientation": 1}
    for encoded in (
        encoder.encode(sample(turned_photo(), notes=twice), Captioning(), RNG),
        encoder.ask(sample(turned_photo(), notes=twice), Captioning()),
    ):
        assert encoded.example.notes == {
            "boxes clipped to the image": 2,
            "images turned by their EXIF orientation": 2,
        }


REFUSALS = {
    "no image": ({"images": ()}, "no-image", "image"),
    "a broken image": ({"images": (ImageBytes(name="x", data=b"nothing"),)}, "unknown-format", "image"),
    "a broken second image": (
        {"images": (flat(1), ImageBytes(name="x", data=b""))},
        "empty-file",
        "images[1]",
    ),
    "another size": ({"image_size": (1, 2)}, "image-size-mismatch", "image_size"),
    "text that marks structure": ({"captions": ("a <image> of",)}, "control-token", "suffix"),
    "text that is too long": ({"captions": ("a red circle " * 20,)}, "too-long", "prefix and suffix"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_every_refusal_says_where_the_sample_is(encoder, case):
    fields, code, field_name = REFUSALS[case]
    with pytest.raises(BadSampleError) as caught:
        encoder.encode(replace(sample(), **fields), Captioning(), RNG)
    assert (caught.value.code, caught.value.field_name) == (code, field_name)
    assert (caught.value.origin, caught.value.sample_id) == ("train.jsonl:17", "a")


def test_a_stand_in_has_the_shape_of_a_sample_and_says_nothing(encoder, tokenizer):
    stand_in = encoder.stand_in("a")
    ids = [tokenizer.image_token_id] * 4 + [tokenizer.bos_id, tokenizer.newline_id, tokenizer.eos_id]
    assert stand_in.tokenized.input_ids.tolist() == ids
    assert stand_in.tokenized.sample_id == "a"
    assert stand_in.pixels_u8.shape == (1, 3, 28, 28)
    assert not stand_in.pixels_u8.any()


def test_rows_that_could_not_hold_the_longest_example_are_refused(tokenizer):
    data = DataSettings(max_text_tokens=40, row_tokens=44)
    with pytest.raises(ValueError, match=r"data\.row_tokens=44 must be at least 45"):
        SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=data)
    with pytest.raises(ValueError, match=r"data\.row_tokens=44 must be at least 53: 12 image tokens"):
        SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=replace(data, num_images=3))


def test_an_encoder_travels_to_other_processes(encoder):
    there = pickle.loads(pickle.dumps(encoder))
    ours, theirs = (one.encode(sample(), Captioning(), RNG) for one in (encoder, there))
    assert ours.tokenized.input_ids.tolist() == theirs.tokenized.input_ids.tolist()


def test_images_that_are_asked_about_may_be_smoothed_otherwise(encoder):
    noise = ImagePixels(name="n", pixels=np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8))
    other = with_data(encoder, antialias=True, eval_antialias=False)
    plain = with_data(encoder, antialias=False)
    trained, asked = other.encode(sample(noise), Captioning(), RNG), other.ask(sample(noise), Captioning())
    assert torch.equal(trained.pixels_u8, encoder.encode(sample(noise), Captioning(), RNG).pixels_u8)
    assert torch.equal(asked.pixels_u8, plain.ask(sample(noise), Captioning()).pixels_u8)
    assert not torch.equal(asked.pixels_u8, trained.pixels_u8)


def test_rounded_pixels_are_the_nearest_levels_to_the_fractions(encoder):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    levels = torch.from_numpy(noise).permute(2, 0, 1)[None].float()
    side = encoder.image_size
    exact = torch.nn.functional.interpolate(levels, (side, side), mode="bilinear", align_corners=False)[0]
    rounded = with_data(encoder, resize=Resize.reference_rounded, antialias=False).encode(
        sample(ImagePixels(name="n", pixels=noise)), Captioning(), RNG
    )
    assert (rounded.pixels_u8[0] - exact).abs().max() <= 0.5


def test_a_video_is_shown_from_a_random_frame_in_training_and_from_the_first_one_when_it_is_asked_about(encoder):
    strided = sample(*(flat(number) for number in range(12)), frame_stride=2)
    moving = with_data(encoder, num_images=3, random_start=True)
    shown = [
        moving.encode(strided, Captioning(), np.random.default_rng(seed)).pixels_u8[:, 0, 0, 0] for seed in range(60)
    ]
    assert {int(frames[0]) for frames in shown} == set(range(12 - 3 * 2 + 1))
    assert all((frames - frames[0]).tolist() == [0, 2, 4] for frames in shown)
    asked = moving.ask(strided, Captioning())
    assert asked.pixels_u8[:, 0, 0, 0].tolist() == [0, 2, 4]
    assert asked.example.notes == {"images over data.num_images": 3}
