import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from datasets_adapters.scenes import Scenes
from finetune.data.encode import SampleEncoder
from finetune.inspection.reading import Reader
from finetune.reporting.drawing import decode_jpeg
from finetune.settings import DataSettings
from finetune.types import ImageBytes, ImageFile, Sample, Source
from recipes.captioning import Captioning


class Photographs:
    """The same picture from a file and from memory, and another one."""

    block_size = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.png"
        Image.fromarray(np.full((30, 90, 3), 7, dtype=np.uint8)).save(self.path)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        encoded = self.path.read_bytes()
        images = (
            ImageFile(name="a", path=self.path),
            ImageBytes(name="b", data=encoded),
            ImageBytes(name="c", data=encoded + b"\0"),
        )
        return Sample(sample_id=f"s{index}", origin=f"row {index}", images=(images[index],), captions=("x",))


def _reader(source: Source, encoder: SampleEncoder, **changes: object) -> Reader:
    reader = Reader(source=source, recipe=Captioning(), encoder=encoder, seed=0)
    return replace(reader, **changes)  # type: ignore[arg-type]


def test_digests_are_equal_for_equal_bytes_wherever_they_lie(encoder: SampleEncoder, tmp_path: Path) -> None:
    first, second, third = (_reader(Photographs(tmp_path), encoder)[index] for index in range(3))
    assert first.image_digest == second.image_digest != third.image_digest
    assert first.example_digest == second.example_digest != third.example_digest
    assert first.image_size == (30, 90)


def test_a_thumbnail_has_the_images_proportions(encoder: SampleEncoder, tmp_path: Path) -> None:
    shown = _reader(Photographs(tmp_path), encoder, shown=frozenset({0}))[0].shown
    assert shown is not None
    (thumbnail,) = shown.thumbnails_jpeg
    width, height = decode_jpeg(thumbnail).size
    assert width == 3 * height


def test_each_of_several_images_is_shown_in_its_own_proportions(encoder: SampleEncoder, tmp_path: Path) -> None:
    class Pairs(Photographs):
        """Every row holds a wide image and one that is stored wide and turned by EXIF to stand upright."""

        def __getitem__(self, index: int) -> Sample:
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.new("RGB", (80, 20)).save(self.path.with_name("turned.png"), exif=exif)
            turned = ImageFile(name="turned", path=self.path.with_name("turned.png"))
            (wide,) = super().__getitem__(0).images
            return replace(super().__getitem__(index), images=(wide, turned, wide))

    shown = _reader(Pairs(tmp_path), encoder, shown=frozenset({1}))[1].shown
    assert shown is not None
    sizes = [decode_jpeg(thumbnail).size for thumbnail in shown.thumbnails_jpeg]
    assert sizes == [(420, 140), (105, 420), (420, 140)]


def test_only_chosen_rows_carry_what_the_page_needs(encoder: SampleEncoder) -> None:
    reader = _reader(Scenes(num_train=3).open("train"), encoder, shown=frozenset({1}))
    assert [reader[index].shown is not None for index in range(3)] == [False, True, False]


def test_a_text_that_is_exactly_at_the_limit_is_not_too_long(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=1).open("train")
    length = _reader(source, encoder)[0].num_text_tokens
    for limit, is_too_long in ((length, False), (length - 1, True)):
        limited = replace(encoder, data=DataSettings(max_text_tokens=limit))
        reading = _reader(source, limited)[0]
        assert (reading.num_text_tokens, reading.is_too_long) == (length, is_too_long)
        assert (reading.skip is not None) == is_too_long


def test_the_seed_decides_which_caption_is_read(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=1).open("train")
    assert len({_reader(source, encoder, seed=seed)[0].suffix for seed in range(12)}) > 1


def test_a_reader_survives_the_way_to_a_worker(encoder: SampleEncoder) -> None:
    reader = _reader(Scenes(num_train=2).open("train"), encoder, shown=frozenset({0}))
    assert pickle.loads(pickle.dumps(reader))[0] == reader[0]
