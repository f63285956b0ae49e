"""Write what the authors of RefCOCO published as pickles down as JSON, which dataset=refcoco reads.

    python scripts/prepare_refcoco.py data/refcoco

The folder holds what refcoco.zip, refcoco+.zip and refcocog.zip unpack to; github.com/lichengunc/refer says where they
are to be had (Apache 2.0):

    refcoco/refs(unc).p     refcoco/instances.json
    refcoco+/refs(unc).p    refcoco+/instances.json
    refcocog/refs(umd).p    refcocog/instances.json

refcoco_unc.json, refcoco+_unc.json and refcocog_umd.json are written beside them. No pickle is loaded: `plain_pickle`
reads lists, dicts, texts and numbers, and refuses a file that holds anything else.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from plain_pickle import NotPlainError, read_plain

_FILES = {"refcoco": "unc", "refcoco+": "unc", "refcocog": "umd"}


def main() -> None:
    """Convert the three files of a folder."""
    parser = argparse.ArgumentParser(description="Write RefCOCO's pickles down as JSON.")
    parser.add_argument("root", type=Path, help="the folder that holds refcoco, refcoco+ and refcocog")
    root: Path = parser.parse_args().root
    missing = [name for name in _FILES if not (root / name / "instances.json").is_file()]
    if missing:
        parser.error(f"{root} has no instances.json in {', '.join(missing)}: unpack the archives there")
    for name, partition in _FILES.items():
        try:
            references = read_references(root / name / f"refs({partition}).p")
        except (OSError, ValueError) as error:
            parser.error(str(error))
        path = root / f"{name}_{partition}.json"
        path.write_text(json.dumps(references, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        counts = Counter(str(reference["split"]) for reference in references)
        print(f"{path}: {len(references)} objects, " + ", ".join(f"{split} {count}" for split, count in counts.items()))


def read_references(path: Path) -> list[dict[str, object]]:
    """Return each referred object: its annotation, image and split, and what people called it.

    Raises:
        ValueError: If the file is no plain pickle, or not of RefCOCO's form.
    """
    try:
        references = read_plain(path.read_bytes())
    except NotPlainError as error:
        raise ValueError(f"{path} {error}") from error
    if not isinstance(references, list):
        raise ValueError(f"{path} must hold a list of references; is it another file?")
    try:
        return [_reference(reference) for reference in references]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds a reference of another form ({error!r}); is it another file?") from error


def _reference(reference: Mapping[str, object]) -> dict[str, object]:
    kept = {key: reference[key] for key in ("ref_id", "ann_id", "image_id", "split")}
    sentences = reference["sentences"]
    if not isinstance(sentences, list):
        raise TypeError("sentences")
    return kept | {"sentences": [{key: one[key] for key in ("sent_id", "sent", "raw")} for one in sentences]}


if __name__ == "__main__":
    main()
