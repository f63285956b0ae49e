from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from finetune.data.image_groups import group_by_image
from finetune.types import BadSampleError, ImageBytes, ImageFile, ImagePixels, ImageReference, Sample


@dataclass(frozen=True, kw_only=True)
class Rows:
    images: tuple[tuple[ImageReference, ...], ...]
    block_size: int | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        if not self.images[index]:
            raise BadSampleError(origin="x", sample_id="", field_name="row", code="bad-row", message="torn")
        return Sample(sample_id=str(index), origin="x", images=self.images[index])


def groups_of(*images: tuple[ImageReference, ...]) -> list[list[int]]:
    groups = group_by_image(Rows(images=images))
    return [rows.tolist() for rows in np.split(groups.rows, groups.ends[:-1])]


def file(name: str) -> ImageFile:
    return ImageFile(name=f"row of {name}", path=Path(name))


def pixels(value: int, side: int = 2) -> ImagePixels:
    return ImagePixels(name=f"{value}", pixels=np.full((side, side, 3), value, dtype=np.uint8))


def test_files_are_told_apart_by_path_and_images_in_memory_by_content() -> None:
    assert groups_of((file("a"),), (file("b"),), (file("a"),)) == [[0, 2], [1]]
    one, other = ImageBytes(name="1", data=b"x"), ImageBytes(name="2", data=b"x")
    assert groups_of((one,), (other,), (ImageBytes(name="1", data=b"y"),)) == [[0, 1], [2]]
    assert groups_of((pixels(1),), (pixels(2),), (pixels(1),), (pixels(1, side=3),)) == [[0, 2], [1], [3]]


def test_several_images_are_one_key_in_their_order() -> None:
    a, b = file("a"), file("b")
    assert groups_of((a, b), (b, a), (a,), (a, b)) == [[0, 3], [1], [2]]


def test_a_row_that_cannot_be_read_stands_alone() -> None:
    assert groups_of((), (file("a"),), (), (file("a"),)) == [[0], [1, 3], [2]]


def test_a_source_that_is_read_forwards_is_refused() -> None:
    with pytest.raises(ValueError, match="keep_images_together=true needs a data set that can be read in any order"):
        group_by_image(Rows(images=((file("a"),),), block_size=4))
