"""Pascal VOC: a list of names for each split, one XML file of boxes and one photograph for each name.

    ImageSets/Main/train.txt    BloodImage_00001
    Annotations/BloodImage_00001.xml
    JPEGImages/BloodImage_00001.jpg
    SegmentationObject/BloodImage_00001.png, SegmentationClass/BloodImage_00001.png    with dataset.masks

VOC counts pixels from 1 and includes both ends: a box from 1 to 640 covers all of a 640 pixel row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.instances import read_label
from datasets_adapters.paths import check_case, existing_file, existing_folder, find_file
from datasets_adapters.rows import RowPlace, quote
from datasets_adapters.strict_xml import parse_xml
from datasets_adapters.voc_masks import FOLDERS, VocMasks, read_class_masks, read_object_masks
from finetune.masks import Mask
from finetune.types import BadSampleError, ImageFile, Instance, Sample


@dataclass(frozen=True, kw_only=True)
class Voc:
    """A folder in Pascal VOC form.

    Args:
        root: Folder that holds ImageSets, Annotations and JPEGImages.
        list_folder: Folder of ImageSets with the lists of names: Main, or Segmentation for the images with masks.
        image_suffix: What follows a name in JPEGImages.
        masks: Which masks are read: those of the objects (SegmentationObject), or one for each class in the place of
            the objects (SegmentationClass). Every image of the list must then have its file.
        labels: Every label, in the order of detection prefixes; empty: those found in both splits, sorted. For classes
            they must be given: pixels that are n have the n-th label.
        keep_difficult: Whether objects marked as difficult are read.
        bad_boxes: refuse an image with a box that leaves it or is empty, or repair (clip, drop).
    """

    root: str
    train_split: str = "train"
    eval_split: str = "val"
    list_folder: str = "Main"
    image_suffix: str = ".jpg"
    masks: VocMasks = VocMasks.none
    labels: list[str] = field(default_factory=list)
    keep_difficult: bool = True
    bad_boxes: BadBoxes = BadBoxes.refuse

    def __post_init__(self) -> None:
        if self.masks is not VocMasks.classes:
            return
        if not self.labels:
            raise ValueError(
                "labels must be given with masks=classes, in the order of the numbers in SegmentationClass from 1: "
                "[aeroplane,bicycle,...] for Pascal VOC itself"
            )
        if not self.keep_difficult or self.bad_boxes is not BadBoxes.refuse:
            raise ValueError(
                "keep_difficult and bad_boxes have no effect with masks=classes, which reads no objects; leave them out"
            )

    def open(self, split: str) -> "VocSource":
        """Open one split.

        Raises:
            ValueError: If a folder or list is missing, or a list is empty, names an image twice, or has two names that
                differ in upper and lower case alone.
        """
        root = existing_folder("dataset.root", Path(self.root))
        for name in ("Annotations", "JPEGImages"):
            existing_folder("dataset.root", root / name)
        if self.masks is not VocMasks.none:
            existing_folder("dataset.masks", root / FOLDERS[self.masks])
        names = self._read_names(root, split)
        label_set = tuple(self.labels) or self._scan_labels(root, names, split)
        return VocSource(settings=self, names=names, label_set=label_set)

    def _scan_labels(self, root: Path, names: Sequence[str], split: str) -> tuple[str, ...]:
        everywhere = list(names)
        for other in {self.train_split, self.eval_split} - {split}:
            if self._list_of(root, other).is_file():
                everywhere += self._read_names(root, other)
        return tuple(sorted({label for name in everywhere for label in _labels(root, name)}))

    def _list_of(self, root: Path, split: str) -> Path:
        return root / "ImageSets" / self.list_folder / f"{split}.txt"

    def _read_names(self, root: Path, split: str) -> tuple[str, ...]:
        return _read_names(self._list_of(root, split), split)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocSource:
    """The images of one split, in the list's order."""

    settings: Voc
    names: tuple[str, ...]
    label_set: tuple[str, ...]

    @property
    def block_size(self) -> int | None:
        """None: any image can be read at any time."""
        return None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read one image's annotation.

        Raises:
            BadSampleError: If a file is missing or malformed, or a box breaks a rule.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the list has {len(self)} images, got index {index}")
        root, name = Path(self.settings.root), self.names[index]
        place = _place(name)
        photograph = f"{name}{self.settings.image_suffix}"
        path = find_file(root / "JPEGImages", photograph, "image", place)
        annotation = _read_annotation(root, name)
        size = (_read_pixels(annotation, "size/height", place), _read_pixels(annotation, "size/width", place))
        return Sample(
            sample_id=name,
            origin=place.origin,
            images=(ImageFile(name=photograph, path=path),),
            image_size=size,
            instances=self._read_instances(annotation, name, size, place),
            label_set=self.label_set,
            notes=place.notes,
        )

    def _read_instances(
        self, annotation: Element, name: str, size: tuple[int, int], place: RowPlace
    ) -> tuple[Instance, ...]:
        root, nodes = Path(self.settings.root), annotation.findall("object")
        if self.settings.masks is VocMasks.classes:
            return read_class_masks(root, name, size, self.label_set, place)
        has_masks = self.settings.masks is VocMasks.objects
        masks = read_object_masks(root, name, size, len(nodes), place) if has_masks else {}
        objects = [
            self._read_object(node, size, masks.get(index + 1), f"object[{index}]", place)
            for index, node in enumerate(nodes)
        ]
        return tuple(instance for instance in objects if instance is not None)

    def _read_object(
        self, node: Element, size: tuple[int, int], mask: Mask | None, field_name: str, place: RowPlace
    ) -> Instance | None:
        """Read one object; None where the settings leave it out."""
        label = read_label((node.findtext("name") or "").strip(), self.label_set, f"{field_name}.name", place)
        if node.findtext("difficult", "0").strip() == "1" and not self.settings.keep_difficult:
            place.notes["objects left out: marked as difficult"] += 1
            return None
        edges = [_read_edge(node, f"bndbox/{name}", field_name, place) for name in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = edges
        numbers = [left - 1, top - 1, right, bottom]
        bad_boxes = self.settings.bad_boxes
        box = read_box(numbers, BoxFormat.xyxy_pixels, size, f"{field_name}.bndbox", place, bad_boxes=bad_boxes)
        return None if box is None else Instance(label=label, box=box, mask=mask)


def _place(name: str) -> RowPlace:
    return RowPlace(origin=f"Annotations/{name}.xml", sample_id=name)


def _read_names(path: Path, split: str) -> tuple[str, ...]:
    existing_file(f"dataset split {split!r}", path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"dataset split {split!r}: {path} is not UTF-8") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError(f"dataset split {split!r}: {path} names no image")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"dataset split {split!r}: {path} names {twice!r} more than once")
    check_case(names, f"dataset split {split!r}: {path}")
    return tuple(names)


def _labels(root: Path, name: str) -> Iterator[str]:
    """Yield an image's labels. What cannot be read is passed over: reading the sample says why."""
    try:
        annotation = _read_annotation(root, name)
    except BadSampleError:
        return
    yield from (label.text.strip() for label in annotation.findall("object/name") if label.text)


def _read_annotation(root: Path, name: str) -> Element:
    place = _place(name)
    path = find_file(root / "Annotations", f"{name}.xml", "annotation", place)
    try:
        return parse_xml(path.read_bytes())
    except ValueError as error:
        place.refuse("annotation", "not-xml", str(error))


def _read_pixels(annotation: Element, where: str, place: RowPlace) -> int:
    text = annotation.findtext(where, "").strip()
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        place.refuse(where, "wrong-type", f"must be a whole number of pixels above 0, got {quote(text)}")
    return int(text)


def _read_edge(node: Element, where: str, field_name: str, place: RowPlace) -> float:
    text = node.findtext(where, "").strip()
    try:
        return float(text)
    except ValueError:
        place.refuse(f"{field_name}.{where}", "wrong-type", f"must be a number, got {quote(text)}")
