"""COCO: JSON files of images, objects (boxes, masks as polygons or run lengths, crowds) and captions.

Several files of one split are joined by image id, so that `instances_*.json` and `captions_*.json` make one data set.
Category names and their order are kept; they are the labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.coco_index import CocoImage, CocoIndex, Row, read_files
from datasets_adapters.masks import box_of_mask, read_mask
from datasets_adapters.paths import SPLIT, existing_file, existing_folder, find_file
from datasets_adapters.rows import RowPlace, quote, read_flag, read_size, read_text
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import ImageFile, Instance, Sample


@dataclass(frozen=True, kw_only=True)
class Coco:
    """A folder in COCO form. "@split" in a path stands for the split's name.

    Args:
        root: Folder that the other paths start from.
        annotations: The JSON files of a split.
        image_folder: Where the images' names start.
        masks: Whether segmentations are read; an object without a bbox then gets its mask's own.
        expressions: Field of an annotation with what its object is called in words (RefCOCO's sentences): text, a list
            of texts, or of objects whose `raw` or `sent` is one. Each makes one instance, with the expression as label
            in the category's place. None: categories are the labels.
        bad_boxes: refuse an image with a box that leaves it or is empty, or repair (clip, drop).
    """

    root: str
    annotations: list[str] = field(default_factory=lambda: [f"annotations/instances_{SPLIT}.json"])
    image_folder: str = SPLIT
    train_split: str = "train2017"
    eval_split: str = "val2017"
    masks: bool = True
    expressions: str | None = None
    bad_boxes: BadBoxes = BadBoxes.refuse

    def __post_init__(self) -> None:
        if not self.annotations:
            raise ValueError("annotations must name at least one file")

    def open(self, split: str) -> "CocoSource":
        """Open one split, reading its annotation files whole.

        Raises:
            ValueError: If a file is missing or no COCO file, ids repeat, or an annotation has no image.
        """
        root = existing_folder("dataset.root", Path(self.root))
        images = existing_folder("dataset.image_folder", root / self.image_folder.replace(SPLIT, split))
        paths = [root / name.replace(SPLIT, split) for name in self.annotations]
        index = read_files([existing_file("dataset.annotations", path) for path in paths])
        return CocoSource(settings=self, image_folder=images, index=index)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoSource:
    """The images of one split, in the order of the files."""

    settings: Coco
    image_folder: Path
    index: CocoIndex

    @property
    def block_size(self) -> int | None:
        """None: any image can be read at any time."""
        return None

    def __len__(self) -> int:
        return len(self.index.images)

    def __getitem__(self, index: int) -> Sample:
        """Read one image's annotations.

        Raises:
            BadSampleError: If the image is missing or an annotation breaks a rule.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the split has {len(self)} images, got index {index}")
        image = self.index.images[index]
        identifier = str(image.row["id"])
        place = RowPlace(origin=f"{image.origin}: image {identifier}", sample_id=identifier)
        name = read_text(image.row.get("file_name"), "file_name", place)
        path = find_file(self.image_folder, name, "file_name", place)
        size = read_size(image.row, place)
        return Sample(
            sample_id=identifier,
            origin=place.origin,
            images=(ImageFile(name=name, path=path),),
            image_size=size,
            instances=self._read_objects(image, size, place) if image.has_objects else None,
            label_set=tuple(self.index.categories.values()),
            captions=tuple(read_text(row["caption"], f"{_name(row)}.caption", place) for row in image.captions),
            notes=place.notes,
        )

    def _read_objects(self, image: CocoImage, size: tuple[int, int] | None, place: RowPlace) -> tuple[Instance, ...]:
        if not image.objects:
            return ()
        if size is None:
            place.refuse("width", "unknown-size", "is missing, as is height: boxes in pixels need them")
        return tuple(instance for row in image.objects for instance in self._read_object(row, size, place))

    def _read_object(self, row: Row, size: tuple[int, int], place: RowPlace) -> list[Instance]:
        """Read one object, once for each of its names; none where it was repaired away."""
        field_name = _name(row)
        labels = self._read_labels(row, field_name, place)
        is_crowd = read_flag(row.get("iscrowd", 0), f"{field_name}.iscrowd", place)
        mask = self._read_mask(row, size, field_name, place)
        box = self._read_box(row, mask, size, field_name, place)
        if box is None:
            return []
        return [Instance(label=label, box=box, mask=mask, is_crowd=is_crowd) for label in labels]

    def _read_labels(self, row: Row, field_name: str, place: RowPlace) -> list[str]:
        """Return the category's name, or the expressions; a crowd region has none, and keeps the category's."""
        category = row.get("category_id")
        if not isinstance(category, int | str) or category not in self.index.categories:
            message = f"{quote(category)} is not among the file's categories"
            place.refuse(f"{field_name}.category_id", "unknown-category", message)
        if self.settings.expressions is None or row.get("iscrowd"):
            return [self.index.categories[category]]
        return read_expressions(row.get(self.settings.expressions), f"{field_name}.{self.settings.expressions}", place)

    def _read_box(
        self, row: Row, mask: Mask | None, size: tuple[int, int], field_name: str, place: RowPlace
    ) -> Box | None:
        if row.get("bbox") is None and mask is not None:
            return box_of_mask(mask)
        where, bad_boxes = f"{field_name}.bbox", self.settings.bad_boxes
        return read_box(row.get("bbox"), BoxFormat.xywh_pixels, size, where, place, bad_boxes=bad_boxes)

    def _read_mask(self, row: Row, size: tuple[int, int], field_name: str, place: RowPlace) -> Mask | None:
        segmentation = row.get("segmentation")
        # Many tools write [] for "not segmented".
        if not self.settings.masks or segmentation is None or segmentation == []:
            return None
        return read_mask(segmentation, size, None, f"{field_name}.segmentation", place)


def read_expressions(value: object, field_name: str, place: RowPlace) -> list[str]:
    """Return the expressions of one object, each once.

    Raises:
        BadSampleError: If there is none, or one is no text.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        place.refuse(field_name, "missing-expression", "holds no expression: leave the object out, or describe it")
    texts = [_text_of(one) if isinstance(one, Mapping) else one for one in values]
    named = [read_text(text, f"{field_name}[{number}]", place) for number, text in enumerate(texts)]
    return list(dict.fromkeys(named))


def _text_of(sentence: Mapping[str, object]) -> object:
    """Return the text of one of RefCOCO's sentences: as it was typed, or else as it was cleaned."""
    return sentence.get("raw", sentence.get("sent"))


def _name(row: Mapping[str, object]) -> str:
    return f"annotation {row['id']}"
