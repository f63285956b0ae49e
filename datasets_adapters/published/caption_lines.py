"""Where in a file of translated captions the lines of each image and language stand, without holding the file.

    {"image_id": "391895_0", "src_lang": "en", "trg_lang": "de", "caption_tokenized": "a man rides a bike .",
     "translation_tokenized": "ein Mann fährt Fahrrad .", "backtranslation_tokenized": "…"}

The training file has 19 million such lines, of some 6 GB: one pass finds the two names in each, without parsing the
rest (408,000 lines of 329 bytes took 0.55 s: about half a minute for all, or as long as the disk needs).
"""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from datasets_adapters.rows import RowPlace
from datasets_adapters.strict_json import StrictJsonError, parse_json

# Quotes inside a caption are escaped, so that neither can be found there.
_IMAGE = re.compile(rb'"image_id"\s*:\s*"(\d{1,12})(?:_[^"\\]*)?"')
_LANGUAGE = re.compile(rb'"trg_lang"\s*:\s*"([a-z]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionLines:
    """The lines of each image in each language: groups by language, then by image.

    Args:
        starts: Byte offset of each line, group after group.
        ends: Where each group ends in `starts`.
        images: Each group's image.
        language_ends: Where each language's groups end; the languages are those of `languages`, in their order.
    """

    path: Path
    languages: tuple[str, ...]
    starts: Int64[np.ndarray, " lines"]
    ends: Int64[np.ndarray, " groups"]
    images: Int64[np.ndarray, " groups"]
    language_ends: Int64[np.ndarray, " languages"]

    def groups_of(self, language: str) -> range:
        """Return the numbers of one language's groups."""
        number = self.languages.index(language)
        return range(int(self.language_ends[number - 1]) if number else 0, int(self.language_ends[number]))

    def read(self, group: int, field_name: str, place: RowPlace) -> list[object]:
        """Return a field of each line of a group, in the order of the file.

        Raises:
            BadSampleError: If a line is not strict JSON or no object.
        """
        first = int(self.ends[group - 1]) if group else 0
        values = []
        with self.path.open("rb") as file:
            for start in self.starts[first : int(self.ends[group])].tolist():
                file.seek(start)
                values.append(_parse(file.readline(), place).get(field_name))
        return values


def index_captions(path: Path, languages: Sequence[str]) -> CaptionLines:
    """Find the lines of every image in every language; lines of other languages are passed over.

    Raises:
        ValueError: If a line names no image or no language, or a language has no line.
    """
    numbers = {language.encode(): number for number, language in enumerate(languages)}
    starts, images, found = array("q"), array("q"), array("b")
    offset = 0
    with path.open("rb") as file:
        for line_number, line in enumerate(file, start=1):
            image, language = _IMAGE.search(line), _LANGUAGE.search(line)
            if image and language and language[1] in numbers:
                starts.append(offset)
                images.append(int(image[1]))
                found.append(numbers[language[1]])
            elif line.strip() and not (image and language):
                raise ValueError(f'{path}:{line_number} has no "image_id" and "trg_lang"; is it another file?')
            offset += len(line)
    columns = (np.array(column, dtype=np.int64) for column in (starts, images, found))
    return _group(path, tuple(languages), *columns)


def _group(
    path: Path,
    languages: tuple[str, ...],
    starts: Int64[np.ndarray, " lines"],
    images: Int64[np.ndarray, " lines"],
    found: Int64[np.ndarray, " lines"],
) -> CaptionLines:
    order = np.lexsort((images, found))
    images, found = images[order], found[order]
    is_last = np.append((np.diff(images) != 0) | (np.diff(found) != 0), True)[: len(order)]
    ends = np.flatnonzero(is_last) + 1
    language_ends = np.searchsorted(found[ends - 1], np.arange(len(languages)), side="right")
    missing = [language for number, language in enumerate(languages) if not (found == number).any()]
    if missing:
        raise ValueError(f"{path} has no caption in {', '.join(missing)}: copy the file again")
    return CaptionLines(
        path=path,
        languages=languages,
        starts=starts[order],
        ends=ends,
        images=images[ends - 1],
        language_ends=language_ends,
    )


def _parse(line: bytes, place: RowPlace) -> dict[str, object]:
    try:
        row = parse_json(line)
    except StrictJsonError as error:
        place.refuse("line", error.code, f"{error}")
    if not isinstance(row, dict):
        place.refuse("line", "wrong-type", f"must be a JSON object, got a {type(row).__name__}")
    return row
