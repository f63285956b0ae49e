"""RefCOCO, RefCOCO+ and RefCOCOg (Yu et al., 2016; Mao et al., 2016): what people call one object of a photograph.

    refcoco_unc.json         [{"ref_id", "ann_id", "image_id", "split": "testA", "sentences": [{"sent": "left dog"}]}]
    refcoco/instances.json   COCO's {"images": […], "annotations": [{"id", "image_id", "segmentation", "bbox", …}]}
    train2014/COCO_train2014_000000581857.jpg

The authors publish the first as a pickle, refcoco/refs(unc).p; scripts/prepare_refcoco.py writes it down as JSON
without loading it. The same holds for refcoco+ (unc) and refcocog (umd).

train and val join the three: an image is a sample, with every object of it that any of the three refers to; train
leaves out the images that one of the three keeps for evaluation. The other splits have a sample for each expression.

Source:
    https://github.com/lichengunc/refer, README.md and refer.py; big_vision datasets/refcoco/refcoco.py (0127fb6), which
    takes `sent` and not `raw`, and the objects from COCO's instances_train2017.json: the same objects.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.instances import read_expressions, read_own_box
from datasets_adapters.masks import read_mask
from datasets_adapters.paths import find_file
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import Id, by_id
from datasets_adapters.published.objects import are_objects
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_size, read_text
from finetune.published import DataCard
from finetune.types import ImageFile, Instance, Sample, Source

# Each data set's folder, and how its authors divided it.
_PARTS = {"refcoco": ("refcoco", "unc"), "refcocop": ("refcoco+", "unc"), "refcocog": ("refcocog", "umd")}
_JOINED = ("train", "val")
_FLAT = {
    "refcoco": ("val", "testA", "testB"),
    "refcocop": ("val", "testA", "testB"),
    "refcocog": ("val", "test"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """What people call one object. `texts` and `split` may be anything: such a split is nobody's."""

    ref_id: int
    image_id: int
    annotation_id: int
    split: object
    texts: list[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One data set: what is referred to, and the images and objects by id."""

    references: Sequence[_Reference]
    images: Mapping[Id, Mapping[str, Any]]
    annotations: Mapping[Id, Mapping[str, Any]]


_ReadPart = Callable[[str], _Part]


@dataclass(frozen=True, kw_only=True)
class RefCoco(PublishedDataset):
    """Objects with masks and expressions; the category of a sample for evaluation is its split, such as refcocop_testA.

    Args:
        root: Folder with refcoco, refcoco+ and refcocog of the archives that github.com/lichengunc/refer leads to, the
            JSON files that `python scripts/prepare_refcoco.py <root>` makes of them, and the folder train2014 of
            images, from cocodataset.org/#download (expressions Apache 2.0, objects CC BY 4.0; images: Flickr's terms).
        image_folder: Where instances.json's names of images start, seen from `root`.
        train_split, eval_split: Of train and val, which join the three data sets, refcoco_val, refcoco_testA,
            refcoco_testB, refcocop_val (RefCOCO+), refcocop_testA, refcocop_testB, refcocog_val and refcocog_test, or
            slices and sums of them.
    """

    card = DataCard(
        title="RefCOCO, RefCOCO+ and RefCOCOg",
        homepage="https://github.com/lichengunc/refer and https://cocodataset.org/#download",
        licence="expressions Apache 2.0, objects CC BY 4.0, images under Flickr's terms",
        counts={"val": 2_738, "refcoco_val": 10_834, "refcoco_testA": 5_657, "refcoco_testB": 5_095},
        counts_source="val: big_vision configs/proj/paligemma/transfers/refcoco_seg.py; the expressions of RefCOCO: "
        "https://flageval.baai.ac.cn/docs/en/multimodal/Visual-Grounding",
    )
    splits = (*_JOINED, *(f"{part}_{split}" for part, splits in _FLAT.items() for split in splits))

    image_folder: str = "train2014"
    eval_split: str = "refcoco_val"

    def _opener(self) -> Callable[[str], Source]:
        read_part = cache(self._read_part)
        return lambda name: self._open_split(name, read_part)

    def _read_part(self, part: str) -> _Part:
        root = self.folder
        folder, partition = _PARTS[part]
        path = root / f"{folder}_{partition}.json"
        if not path.is_file() and (root / folder / f"refs({partition}).p").is_file():
            raise ValueError(f"dataset.root: {root} has no {path.name}: run python scripts/prepare_refcoco.py {root}")
        path = self.annotations(path.name)
        instances = self.annotations(f"{folder}/instances.json")
        return _Part(
            references=[
                _read_reference(row, f"{path}: row {number}")
                for number, row in enumerate(read_json_list(path), start=1)
            ],
            images=by_id(read_json_list(instances, "images"), "id", instances),
            annotations=by_id(read_json_list(instances, "annotations"), "id", instances),
        )

    def _open_split(self, name: str, read_part: _ReadPart) -> RowSource:
        if name in _JOINED:
            rows = _joined_rows(name, [read_part(part) for part in _PARTS])
            files = " or ".join(f"{folder}_{partition}.json" for folder, partition in _PARTS.values())
            return pack_rows(rows, read=self._read, file=files, unit="image", id_key="key")
        part, _, split = name.partition("_")
        folder, partition = _PARTS[part]
        rows = _flat_rows(name, split, read_part(part))
        return pack_rows(rows, read=self._read, file=f"{folder}_{partition}.json", unit="expression", id_key="key")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        size = read_size(row["image"], place)
        if size is None:
            place.refuse("width", "unknown-size", "is missing, as is height: copy instances.json again")
        name = read_text(row["image"].get("file_name"), "file_name", place)
        path = find_file(Path(self.root) / self.image_folder, name, "file_name", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=name, path=path),),
            image_size=size,
            instances=tuple(_read_object(one, size, place) for one in row["objects"]),
            category=row["category"],
            notes=place.notes,
        )


def _joined_rows(split: str, parts: Sequence[_Part]) -> Iterator[dict[str, Any]]:
    """Yield an image with all that is referred to in it, in the order of the images' ids."""
    kept = {ref.image_id for part in parts for ref in part.references if ref.split != "train"}
    texts: dict[int, dict[int, list[object]]] = defaultdict(lambda: defaultdict(list))
    images: dict[int, Mapping[str, Any]] = {}
    annotations: dict[int, Mapping[str, Any]] = {}
    for part in parts:
        for ref in part.references:
            if ref.split == split and (split != "train" or ref.image_id not in kept):
                images[ref.image_id] = part.images.get(ref.image_id, {})
                annotations[ref.annotation_id] = part.annotations.get(ref.annotation_id, {})
                texts[ref.image_id][ref.annotation_id] += ref.texts
    for image_id in sorted(texts):
        objects = [_object(one, annotations[one], texts[image_id][one]) for one in sorted(texts[image_id])]
        yield {"key": str(image_id), "image": _image(images[image_id]), "objects": objects, "category": None}


def _flat_rows(name: str, split: str, part: _Part) -> Iterator[dict[str, Any]]:
    """Yield each expression for its own object."""
    for ref in part.references:
        if ref.split != split:
            continue
        annotation = part.annotations.get(ref.annotation_id, {})
        for number, text in enumerate(ref.texts):
            yield {
                "key": f"{name}/{ref.ref_id}_{number}",
                "image": _image(part.images.get(ref.image_id, {})),
                "objects": [_object(ref.annotation_id, annotation, [text])],
                "category": name,
            }


def _read_reference(row: Row, where: str) -> _Reference:
    """Read what is said of one object, but for the texts, which are read when they are drawn.

    Args:
        where: File and row.

    Raises:
        ValueError: If an id is no whole number, or a sentence no object.
    """
    for key in ("ref_id", "image_id", "ann_id"):
        if isinstance(row.get(key), bool) or not isinstance(row.get(key), int):
            raise ValueError(f"{where}: {key} must be a whole number, got {quote(row.get(key))}")
    sentences = row.get("sentences")
    if not are_objects(sentences):
        raise ValueError(f"{where}: sentences must be a list of objects, got {quote(sentences)}")
    return _Reference(
        ref_id=row["ref_id"],
        image_id=row["image_id"],
        annotation_id=row["ann_id"],
        split=row.get("split"),
        texts=[sentence.get("sent") for sentence in sentences],
    )


def _image(image: Mapping[str, Any]) -> dict[str, object]:
    return {key: image.get(key) for key in ("file_name", "height", "width")}


def _object(identifier: object, annotation: Mapping[str, Any], texts: Sequence[object]) -> dict[str, object]:
    kept = {key: annotation.get(key) for key in ("segmentation", "bbox")}
    return {"id": identifier, "texts": texts} | kept


def _read_object(row: Row, size: tuple[int, int], place: RowPlace) -> Instance:
    """Read one object. COCO calls some of them crowds; who refers to one means it as one thing all the same."""
    field_name = f"annotation {row['id']}"
    if row["segmentation"] is None:
        place.refuse(field_name, "missing-annotation", "is not in instances.json: are both files of one data set?")
    expressions = read_expressions(row["texts"], f"{field_name}.sent", place)
    mask = read_mask(row["segmentation"], size, None, f"{field_name}.segmentation", place)
    where = f"{field_name}.bbox"
    box = read_own_box(row["bbox"], mask, BoxFormat.xywh_pixels, size, where, place, bad_boxes=BadBoxes.repair)
    if box is None:
        place.refuse(where, "empty-box", "covers nothing of the image: leave the object out")
    return Instance(label=expressions[0], box=box, mask=mask, expressions=expressions)
