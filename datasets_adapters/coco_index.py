"""COCO annotation files, read and joined by image: what belongs to which image, checked for loose ends."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_adapters.paths import check_case
from datasets_adapters.rows import quote
from datasets_adapters.strict_json import StrictJsonError, parse_json

Row = Mapping[str, Any]
Identifier = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoImage:
    """One image with its annotations, unread. `origin` is the file that lists it first."""

    origin: str
    row: Row
    objects: list[Row] = field(default_factory=list)
    captions: list[Row] = field(default_factory=list)
    has_objects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoIndex:
    """All images in the order of the files, and the categories by id in the order of the file."""

    images: tuple[CocoImage, ...]
    categories: Mapping[Identifier, str]


def read_files(paths: Sequence[Path]) -> CocoIndex:
    """Read annotation files and join them by image id. Files with categories annotate objects for all their images.

    Raises:
        ValueError: If a file is not COCO, two files disagree, an id is used twice, an annotation has no image, or two
            images' names differ in upper and lower case alone.
    """
    images: dict[Identifier, CocoImage] = {}
    categories: dict[Identifier, str] = {}
    for path in paths:
        content = _read_file(path)
        own_categories = _read_categories(content, path)
        if categories and own_categories and own_categories != categories:
            raise ValueError(f"{path}: its categories differ from those of the files before it")
        categories = own_categories or categories
        own_ids = _add_images(images, _rows(content, "images", path), path, has_objects=bool(own_categories))
        annotations = _rows(content, "annotations", path)
        if not own_categories and not all("caption" in row for row in annotations):
            raise ValueError(f"{path}: it annotates objects, but has no categories to name them")
        _add_annotations(images, own_ids, annotations, path)
    where = ", ".join(map(str, paths))
    if not images:
        raise ValueError(f"{where}: no image is listed")
    names = (image.row.get("file_name") for image in images.values())
    check_case((name for name in names if isinstance(name, str)), where)
    return CocoIndex(images=tuple(images.values()), categories=categories)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except StrictJsonError as error:
        raise ValueError(f"{path} {error}") from error
    if not isinstance(content, dict) or "images" not in content:
        raise ValueError(f"{path} is no COCO file: it has no 'images'")
    return content


def _rows(content: Row, name: str, path: Path) -> list[Row]:
    rows = content.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{path}: {name!r} must be a list of objects")
    return rows


def _read_categories(content: Row, path: Path) -> dict[Identifier, str]:
    categories: dict[Identifier, str] = {}
    for row in _rows(content, "categories", path):
        name = row.get("name")
        if not isinstance(name, str) or not name.strip() or name in categories.values():
            raise ValueError(f"{path}: category {quote(row.get('id'))} needs a name of its own, got {quote(name)}")
        categories[_identifier(row, "id", f"{path}: category {name!r}", categories)] = name
    return categories


def _add_images(
    images: dict[Identifier, CocoImage], rows: Sequence[Row], path: Path, *, has_objects: bool
) -> set[Identifier]:
    """Add one file's images; return their ids."""
    own_ids: set[Identifier] = set()
    for row in rows:
        identifier = _identifier(row, "id", f"{path}: an image", own_ids)
        own_ids.add(identifier)
        known = images.get(identifier)
        if known is None:
            images[identifier] = CocoImage(origin=path.name, row=row, has_objects=has_objects)
        elif any(known.row.get(name) != row.get(name) for name in ("file_name", "height", "width")):
            raise ValueError(f"{path}: image {identifier} has another file_name or size than in {known.origin}")
        elif has_objects and not known.has_objects:
            images[identifier] = CocoImage(origin=known.origin, row=row, captions=known.captions, has_objects=True)
    return own_ids


def _add_annotations(
    images: Mapping[Identifier, CocoImage], own_ids: set[Identifier], rows: Sequence[Row], path: Path
) -> None:
    seen: set[Identifier] = set()
    for row in rows:
        identifier = _identifier(row, "id", f"{path}: an annotation", seen)
        seen.add(identifier)
        image_id = row.get("image_id")
        if not isinstance(image_id, int | str) or image_id not in own_ids:
            raise ValueError(
                f"{path}: annotation {identifier} is of image {quote(image_id)}, which the file does not list"
            )
        image = images[image_id]
        (image.captions if "caption" in row else image.objects).append(row)


def _identifier(row: Row, name: str, what: str, taken: Container[Identifier]) -> Identifier:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{what} must have a whole number or text as {name!r}, got {quote(value)}")
    if value in taken:
        raise ValueError(f"{what}: {name} {value!r} is used more than once")
    return value
