"""Which mask codec a model's weights speak, kept beside them: the same codes mean other shapes in another codec.

mask_codec.json    {"name": "embedded", "sha256": "55860102…"}
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from finetune.tokens.segmentation import CodecChoice

FILE_NAME = "mask_codec.json"


@runtime_checkable
class UsesCodec(Protocol):
    """A recipe whose texts hold codes of masks."""

    def codec(self) -> CodecChoice:
        """Return the codec in use.

        Raises:
            ValueError: If its file is missing or is none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecRecord:
    """A codec by the content of its file. `name` is what people call it: two names may stand for one codec."""

    name: str
    sha256: str

    def __str__(self) -> str:
        """Name it as messages and reports do."""
        return f"{self.name} ({self.sha256[:12]})"

    def is_same_as(self, other: "CodecRecord") -> bool:
        """Whether codes of one mean the same in the other."""
        return self.sha256 == other.sha256


def record_of(choice: CodecChoice) -> CodecRecord:
    """Return what is written down about a codec: not where its file lies."""
    return CodecRecord(name=Path(choice.name).name, sha256=choice.sha256)


def read_record(folder: Path) -> CodecRecord | None:
    """Return what a model's folder says; None where it says nothing, as of a model that was taught no masks by us.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return CodecRecord(name=str(content["name"]), sha256=str(content["sha256"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); export the run again") from None


def write_record(folder: Path, record: CodecRecord) -> None:
    """Write `mask_codec.json` into a model's folder."""
    (folder / FILE_NAME).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
