"""Mutations of good input, and the readers that must take any of them: a value or a typed refusal, soon."""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.jsonl import JsonLines
from datasets_adapters.jsonl_rows import RowRules, read_row
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.data.images import decode_image
from finetune.engine.identity import read_identity
from finetune.engine.manifest import DamagedCheckpointError, FileRecord, Manifest, read_manifest, write_manifest
from finetune.tokens.location import decode_boxes, encode_box
from finetune.tokens.objects import format_masks, format_objects, parse_mask, parse_masks, parse_objects
from finetune.types import BadSampleError, ImageBytes
from tests.hostile.cases import encoded, good_row, one_box, one_mask, picture

# Of this process alone: machines are shared.
LONGEST_SECONDS = 2.0

_PIECES = (
    "<loc",
    "<seg",
    ">",
    "<",
    ";",
    " ; ",
    " ",
    "\n",
    "\0",
    "<eos>",
    "1024",
    "128",
    "٣",
    "é",
    "\U0001f431",
    "\ud800",
    "9",
)


def mutated_text(text: str, chance: random.Random) -> str:
    """Cut, double, swap and put pieces into a text."""
    for _ in range(chance.randint(1, 4)):
        place, other = (chance.randint(0, len(text)) for _ in range(2))
        start, stop = sorted((place, other))
        match chance.randrange(4):
            case 0:
                text = text[:start] + text[min(stop, start + 12) :]
            case 1:
                text = text[:place] + chance.choice(_PIECES) + text[place:]
            case 2:
                text = text[:stop] + text[start : start + 30] + text[stop:]
            case _:
                text = text[:start] + "".join(chance.choices("<>loceg0123456789; cat", k=3)) + text[start + 3 :]
    return text


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, put in and overwrite bytes."""
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        piece = bytes(chance.choices((0, 1, 127, 128, 255, chance.randrange(256)), k=chance.choice((1, 1, 2, 4, 9))))
        match chance.randrange(4):
            case 0:
                data = data[:place] + piece + data[place + len(piece) :]
            case 1:
                data = data[:place] + piece + data[place:]
            case 2:
                data = data[:place] + data[place + chance.randrange(64) :]
            case _:
                data = data[: max(place, 12)] if chance.random() < 0.3 else data[:place] + piece + data[place + 1 :]
    return data


def fuzz_parser(number: int, chance: random.Random) -> None:
    """Let every reader of generated text have mutations of real answers. None may raise."""
    whole = "<loc0100><loc0200><loc0300><loc0400>" + "".join(f"<seg{code:03d}>" for code in range(16)) + " cat"
    for _ in range(number):
        text = mutated_text(" ; ".join([whole] * chance.randint(0, 4)), chance)
        found = parse_objects(text)
        # What was read can be said, and is then read as the same.
        again = parse_objects(format_objects(found.objects))
        assert (again.objects, again.num_malformed) == (found.objects, 0), text
        masks = parse_masks(text)
        assert parse_masks(format_masks(masks.masks)) == type(masks)(masks=masks.masks, num_malformed=0), text
        parse_mask(text)
        for box in decode_boxes(text):
            assert 0 <= box.top < box.bottom <= 1, text
            assert 0 <= box.left < box.right <= 1, text
            assert decode_boxes(encode_box(box)) == [box], text


def fuzz_rows(number: int, folder: Path, chance: random.Random) -> int:
    """Let the reader of JSON lines have mutations of good rows; return how many it still took."""
    (folder / "good.png").write_bytes(encoded(picture(), "PNG"))
    rules = RowRules(
        image_folder=folder, box_format=None, bad_boxes=BadBoxes.refuse, label_set=("cell",), allow_empty_suffix=False
    )
    counts = {"size": [32, 48], "counts": [40, 10, 1486]}
    good = [good_row(0), one_box(1, 2, 30, 20), one_mask([[1, 1, 20, 1, 9, 9]]), one_mask(counts)]
    taken = 0
    for _ in range(number):
        text = json.dumps(chance.choice(good))
        line = mutated_bytes(text.encode(), chance) if chance.random() < 0.5 else _written(mutated_text(text, chance))
        try:
            row = parse_json(line)
            taken += isinstance(row, dict) and bool(read_row(row, rules, "train.jsonl:1").sample_id)
        except (BadSampleError, StrictJsonError):
            continue
    return taken


def fuzz_files(number: int, folder: Path, chance: random.Random) -> None:
    """Open mutations of a whole file of rows, and read every row that it still has."""
    (folder / "good.png").write_bytes(encoded(picture(), "PNG"))
    good = b"".join(json.dumps(good_row(n)).encode() + b"\n" for n in range(4))
    for _ in range(number):
        (folder / "train.jsonl").write_bytes(mutated_bytes(good, chance))
        try:
            source = JsonLines(root=str(folder)).open("train")
        except BadSampleError:
            raise
        except ValueError:
            continue
        for index in range(len(source)):
            refused(lambda: source[index])  # noqa: B023


def fuzz_manifests(number: int, folder: Path, chance: random.Random) -> None:
    """Let the readers of a checkpoint's and a run's own description have mutations of them; none may pass."""
    whole = Manifest(step=3, best_step=None, files={"state.json": FileRecord(bytes=3, sha256="0" * 64)})
    write_manifest(folder, whole)
    good = (folder / "MANIFEST.json").read_bytes()
    for _ in range(number):
        changed = mutated_bytes(good, chance)
        (folder / "MANIFEST.json").write_bytes(changed)
        with suppress(DamagedCheckpointError):
            assert read_manifest(folder) == whole, changed
        (folder / "identity.json").write_bytes(changed)
        try:
            read_identity(folder / "identity.json")
        except ValueError:
            continue


def fuzz_images(number: int, chance: random.Random) -> int:
    """Decode mutations of real files of every format; return how many were still decoded."""
    forms = [encoded(picture(), form) for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")]
    forms += [encoded(picture().convert(mode), form) for mode, form in (("L", "TIFF"), ("P", "PNG"), ("CMYK", "JPEG"))]
    decoded = 0
    for _ in range(number):
        data = mutated_bytes(chance.choice(forms), chance)
        start = time.process_time()
        decoded += not refused(
            lambda: decode_image(ImageBytes(name="x", data=data), max_pixels=50_000_000, background=255)  # noqa: B023
        )
        assert time.process_time() - start < LONGEST_SECONDS, data
    return decoded


def _written(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def refused(read: Callable[[], object]) -> bool:
    """Whether a reader refused its input, in the one way that it may."""
    try:
        read()
    except BadSampleError as error:
        return bool(error.code and error.field_name and error.message)
    return False
