"""JSON Lines: one object a line, as PaliGemma and Roboflow write them or with annotations of their own.

    {"image": "cat.jpg", "prefix": "detect cat", "suffix": "<loc0100><loc0200><loc0300><loc0400> cat"}
    {"id": "7", "image": "cat.jpg", "width": 640, "height": 480, "captions": ["a cat"], "question": "what is it?",
     "answers": ["cat"], "text": "EXIT", "box_format": "xywh_pixels",
     "boxes": [{"label": "cat", "box": [10, 20, 300, 200], "mask": [[10, 20, 310, 20, 160, 220]], "is_crowd": false,
                "expressions": ["the sleeping cat", "the one on the left"]}]}
    {"images": ["left.jpg", "right.jpg"], "question": "is there a dog in both?", "answers": ["True"]}
    {"frames": "clips/0001", "captions": ["a man runs"]}

Several images are shown in their order; boxes refer to the first one. `frames` names a folder, whose images follow one
another by the numbers in their names (or is a list of files, as `images`).

A line is read when it is asked for; opening a file finds the lines, their ids and their labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.jsonl_index import LineIndex, index_lines
from datasets_adapters.jsonl_rows import RowRules, read_row
from datasets_adapters.paths import SPLIT, check_case, existing_file, existing_folder
from datasets_adapters.rows import RowPlace, read_text
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.settings import at_least
from finetune.types import BadSampleError, Sample


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """A folder with one JSON Lines file for each split, and images.

    Args:
        root: Folder of the data set.
        image_folder: Where the images' names start, seen from `root`; "@split" stands for the split's name.
        train_file, eval_file: The splits' files, seen from `root`; null: the name of the split, and ".jsonl".
        box_format: Order and unit of boxes whose line does not say its own; null: every line with boxes says it.
        bad_boxes: refuse a line with a box that leaves the image or is empty, or repair (clip, drop).
        labels: Every label, in the order of detection prefixes; empty: those found in both splits, sorted.
        allow_empty_suffix: Whether "" is a suffix (nothing to detect) rather than a missing annotation.
        frame_stride: Of the images in a folder of frames, take the first one and every so many after it;
            data.num_images then says how many of them are shown.
    """

    root: str
    image_folder: str = "."
    train_split: str = "train"
    eval_split: str = "val"
    train_file: str | None = None
    eval_file: str | None = None
    box_format: BoxFormat | None = None
    bad_boxes: BadBoxes = BadBoxes.refuse
    labels: list[str] = field(default_factory=list)
    allow_empty_suffix: bool = False
    frame_stride: int = 1

    def __post_init__(self) -> None:
        at_least("frame_stride", self.frame_stride, 1)

    def open(self, split: str) -> "JsonLinesSource":
        """Open one split.

        Raises:
            ValueError: If a folder or file is missing, a file is cut off, an id stands on two lines, or names of images
                differ in upper and lower case alone.
        """
        root = existing_folder("dataset.root", Path(self.root))
        images = existing_folder("dataset.image_folder", root / self.image_folder.replace(SPLIT, split))
        index = index_lines(existing_file(self._setting(split), root / self._file(split)))
        found = _scan(index)
        labels = set(found)
        for other in {self.train_split, self.eval_split} - {split}:
            path = root / self._file(other)
            if not self.labels and path.is_file():
                labels |= _scan(index_lines(path))
        rules = RowRules(
            image_folder=images,
            box_format=self.box_format,
            bad_boxes=self.bad_boxes,
            label_set=tuple(self.labels) or tuple(sorted(labels)),
            allow_empty_suffix=self.allow_empty_suffix,
            frame_stride=self.frame_stride,
        )
        return JsonLinesSource(index=index, rules=rules)

    def _file(self, split: str) -> str:
        explicit = {self.train_split: self.train_file, self.eval_split: self.eval_file}.get(split)
        return explicit or f"{split}.jsonl"

    def _setting(self, split: str) -> str:
        names = {self.train_split: "dataset.train_file", self.eval_split: "dataset.eval_file"}
        return names.get(split, f"dataset split {split!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesSource:
    """The lines of one split."""

    index: LineIndex
    rules: RowRules

    @property
    def block_size(self) -> int | None:
        """None: any line can be read at any time."""
        return None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Sample:
        """Read one line.

        Raises:
            BadSampleError: If the line breaks a rule.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.index.path} has {len(self)} lines, got index {index}")
        origin = self.index.origin(index)
        row = self.index.read(index, RowPlace(origin=origin, sample_id=""))
        sample = read_row(row, self.rules, origin)
        return replace(sample, notes=Counter(sample.notes) + self.index.passed_over(index))


def _scan(index: LineIndex) -> set[str]:
    """Return the labels of a file, after refusing an id that stands on two lines, and names that differ in case alone.

    Lines that cannot be parsed are passed over: reading them says why.
    """
    labels: set[str] = set()
    line_of_id: dict[str, str] = {}
    names: set[str] = set()
    for position, row in _rows(index):
        labels |= _labels(row)
        names |= _image_names(row)
        if isinstance(row.get("id"), str | int):
            sample_id = str(row["id"])
            if sample_id in line_of_id:
                first = line_of_id[sample_id]
                raise ValueError(
                    f"{index.origin(position)}: id {sample_id!r} already stands at {first}: ids must differ"
                )
            line_of_id[sample_id] = index.origin(position)
    check_case(sorted(names), str(index.path))
    return labels


def _rows(index: LineIndex) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the lines that are objects, with their positions."""
    for position, encoded in enumerate(index.encoded_lines()):
        try:
            row = parse_json(encoded)
        except StrictJsonError:
            continue
        if isinstance(row, Mapping):
            yield position, row


def _image_names(row: Mapping[str, object]) -> set[str]:
    """Return the files that a row names as its images."""
    named = [row.get(field_name) for field_name in ("image", "images", "frames")]
    each = [name for value in named for name in (value if isinstance(value, list) else [value])]
    return {name for name in each if isinstance(name, str)}


def _labels(row: Mapping[str, object]) -> set[str]:
    boxes = row.get("boxes")
    found = [box.get("label") for box in boxes if isinstance(box, Mapping)] if isinstance(boxes, list) else []
    return {label for label in found if isinstance(label, str) and _is_label(label)}


def _is_label(value: str) -> bool:
    """Whether a text can be a label: what cannot is refused in its own row, and must not be asked for in all others."""
    try:
        read_text(value, "label", RowPlace(origin="", sample_id=""))
    except BadSampleError:
        return False
    return True
