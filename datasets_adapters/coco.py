"""COCO: JSON files of images, objects (boxes, masks as polygons or run lengths, crowds) and captions.

Several files of one split are joined by image id, so that `instances_*.json` and `captions_*.json` make one data set.
Category names and their order are kept; they are the labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.coco_index import CocoImage, CocoIndex, Row, read_files
from datasets_adapters.instances import read_expressions, read_own_box
from datasets_adapters.masks import read_mask
from datasets_adapters.paths import SPLIT, existing_file, existing_folder, find_file
from datasets_adapters.rows import RowPlace, quote, read_flag, read_size, read_text
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
            of texts, or of objects whose `raw` or `sent` is one. Crowd regions need none. None: they are not read.
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
        instances = [self._read_object(row, size, place) for row in image.objects]
        return tuple(instance for instance in instances if instance is not None)

    def _read_object(self, row: Row, size: tuple[int, int], place: RowPlace) -> Instance | None:
        """Read one object; None where it was repaired away."""
        field_name, bad_boxes = _name(row), self.settings.bad_boxes
        label = self._read_category(row, field_name, place)
        is_crowd = read_flag(row.get("iscrowd", 0), f"{field_name}.iscrowd", place)
        expressions = () if is_crowd else self._read_expressions(row, field_name, place)
        mask = self._read_mask(row, size, field_name, place)
        where, box_format = f"{field_name}.bbox", BoxFormat.xywh_pixels
        box = read_own_box(row.get("bbox"), mask, box_format, size, where, place, bad_boxes=bad_boxes)
        if box is None:
            return None
        return Instance(label=label, box=box, mask=mask, is_crowd=is_crowd, expressions=expressions)

    def _read_category(self, row: Row, field_name: str, place: RowPlace) -> str:
        category = row.get("category_id")
        if not isinstance(category, int | str) or category not in self.index.categories:
            message = f"{quote(category)} is not among the file's categories"
            place.refuse(f"{field_name}.category_id", "unknown-category", message)
        return self.index.categories[category]

    def _read_expressions(self, row: Row, field_name: str, place: RowPlace) -> tuple[str, ...]:
        name = self.settings.expressions
        return () if name is None else read_expressions(row.get(name), f"{field_name}.{name}", place)

    def _read_mask(self, row: Row, size: tuple[int, int], field_name: str, place: RowPlace) -> Mask | None:
        segmentation = row.get("segmentation")
        # Many tools write [] for "not segmented".
        if not self.settings.masks or segmentation is None or segmentation == []:
            return None
        return read_mask(segmentation, size, None, f"{field_name}.segmentation", place)


def _name(row: Mapping[str, object]) -> str:
    return f"annotation {row['id']}"
