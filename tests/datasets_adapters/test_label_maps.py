import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.label_maps import NOBODY, instances_of_classes, masks_by_number
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.types import BadSampleError

PLACE = RowPlace(origin="Annotations/a.xml", sample_id="a")


@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 254, 255]), min_size=5, max_size=5), min_size=1, max_size=5))
def test_every_pixel_of_a_map_is_in_one_mask_or_is_nobodys(rows: list[list[int]]) -> None:
    values = np.array(rows, dtype=np.uint8)
    masks = masks_by_number(values)
    rebuilt = sum((number * mask.to_array().astype(int) for number, mask in masks.items()), np.zeros(values.shape, int))
    assert np.array_equal(rebuilt, np.where(np.isin(values, NOBODY), 0, values))
    assert list(masks) == sorted(masks)


def test_a_class_is_one_object_however_many_parts_it_has() -> None:
    values = np.array([[2, 0, 2, 255], [0, 0, 1, 0]], dtype=np.uint8)
    ant, bee = instances_of_classes(values, ("ant", "bee"), "map", PLACE)
    assert (ant.label, ant.box) == ("ant", Box(top=0.5, left=0.5, bottom=1, right=0.75))
    assert (bee.label, bee.box) == ("bee", Box(top=0, left=0, bottom=0.5, right=0.75))
    assert bee.mask is not None
    assert bee.mask.area_pixels == 2
    assert instances_of_classes(np.zeros((2, 2), bool), ("ant",), "map", PLACE) == ()


def test_a_number_without_a_label_is_refused() -> None:
    with pytest.raises(
        BadSampleError, match=r"map: holds pixels of class 3, and dataset\.labels lists 2: list them all"
    ):
        instances_of_classes(np.array([[3]], dtype=np.uint8), ("ant", "bee"), "map", PLACE)
