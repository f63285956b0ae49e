"""COCO-35L (Thapliyal et al., 2022): COCO's captions, and machine's translations of each into 34 languages.

    coco_mt_train.jsonl   {"image_id": "391895_0", "trg_lang": "de", "caption_tokenized": "…",
                           "translation_tokenized": "…"}
    train2014/COCO_train2014_000000000009.jpg, val2014/…

English is `caption_tokenized` of the lines that were translated into German: every caption stands in 34 lines, and once
each of these. Every language has the same images with five captions each, so that an even shuffle over all of them is
the original's mixture with equal weights.

Source:
    The release's README (google.github.io/crossmodal-3600): fields, 19,258,790 = 34 x 566,435 and 850,000 = 34 x 25,000
    lines. big_vision datasets/coco35l/coco35l.py (0127fb6): English, and image_id up to its underscore as COCO's id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from datasets_adapters.paths import find_file
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.caption_lines import CaptionLines, index_captions
from datasets_adapters.published.languages import COCO_LANGUAGES
from datasets_adapters.rows import RowPlace, read_texts
from finetune.published import DataCard
from finetune.types import ImageFile, Sample, Source

_WHOLE = ("train", "dev")
_NUM_IMAGES = {"train": 113_287, "dev": 5_000}
_SOURCE_LANGUAGE, _ITS_LINES = "en", "de"
_TRANSLATED = tuple(language for language in COCO_LANGUAGES if language != _SOURCE_LANGUAGE)
_FOLDERS = ("train2014", "val2014")


@dataclass(frozen=True, kw_only=True)
class Coco35l(PublishedDataset):
    """Captions in 35 languages; each language of an image is a sample, told apart by its code.

    Args:
        root: Folder with coco_mt_train.jsonl and coco_mt_dev.jsonl, from
            storage.googleapis.com/crossmodal-3600/coco_mt_{train,dev}.jsonl.bz2 (unpacked with bzip2 -d), and the
            folders train2014 and val2014 of images, from cocodataset.org/#download (captions CC BY 4.0; images:
            Flickr's terms).
        train_split, eval_split: Of train and dev, which hold every language one after the other, or of one language
            each, such as dev_en, or slices and sums of them.
    """

    card = DataCard(
        title="COCO-35L",
        homepage="https://google.github.io/crossmodal-3600 and https://cocodataset.org/#download",
        licence="captions CC BY 4.0, images under Flickr's terms",
        counts={split: number * len(COCO_LANGUAGES) for split, number in _NUM_IMAGES.items()}
        | {f"{split}_{language}": number for split, number in _NUM_IMAGES.items() for language in COCO_LANGUAGES},
        counts_source="https://google.github.io/crossmodal-3600: the release's numbers of lines, five to an image",
    )
    splits = (*_WHOLE, *(f"{split}_{language}" for split in _WHOLE for language in COCO_LANGUAGES))

    eval_split: str = "dev"

    def _opener(self) -> Callable[[str], Source]:
        # Read through once for all languages of a split, which takes a while.
        lines = cache(self._index)
        return lambda name: self._open_split(name, lines(name.partition("_")[0]))

    def _index(self, split: str) -> CaptionLines:
        return index_captions(self.annotations(f"coco_mt_{split}.jsonl"), _TRANSLATED)

    def _open_split(self, name: str, lines: CaptionLines) -> "Coco35lSource":
        _, _, language = name.partition("_")
        return Coco35lSource(lines=lines, root=Path(self.root), languages=(language,) if language else COCO_LANGUAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coco35lSource:
    """The images of a split, in one language after another."""

    lines: CaptionLines
    root: Path
    languages: tuple[str, ...]

    @property
    def block_size(self) -> int | None:
        """None: any line can be read at any time."""
        return None

    def __len__(self) -> int:
        return sum(len(self._groups(language)) for language in self.languages)

    def __getitem__(self, index: int) -> Sample:
        """Read the captions of one image in one language.

        Raises:
            BadSampleError: If a line breaks a rule, or the image is missing.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the split has {len(self)} rows, got index {index}")
        rest = index
        for language in self.languages:
            groups = self._groups(language)
            if rest < len(groups):
                return self._read(groups[rest], language)
            rest -= len(groups)
        raise AssertionError("the languages' lengths add up to the split's")

    def _groups(self, language: str) -> range:
        return self.lines.groups_of(_ITS_LINES if language == _SOURCE_LANGUAGE else language)

    def _read(self, group: int, language: str) -> Sample:
        image = int(self.lines.images[group])
        origin = f"{self.lines.path.name}: image {image} in {language}"
        place = RowPlace(origin=origin, sample_id=f"{image}_{language}")
        field_name = "caption_tokenized" if language == _SOURCE_LANGUAGE else "translation_tokenized"
        return Sample(
            sample_id=place.sample_id,
            origin=origin,
            images=(self._find_image(image, place),),
            captions=read_texts(self.lines.read(group, field_name, place), field_name, place),
            language=language,
            category=language,
            public_id=image,
        )

    def _find_image(self, image: int, place: RowPlace) -> ImageFile:
        names = [f"{folder}/COCO_{folder}_{image:012d}.jpg" for folder in _FOLDERS]
        name = next((name for name in names if (self.root / name).is_file()), names[0])
        return ImageFile(name=name, path=find_file(self.root, name, "image_id", place))
