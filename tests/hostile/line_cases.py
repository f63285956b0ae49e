"""Bad input, lines: what is no row, and rows that say what they may not."""

import json
from pathlib import Path

from tests.hostile.cases import Row, Verdict, WholeFile, encoded, good_row, named_row, picture


def _line(name: str, row: object, words: str, field_name: str = "line", reference: str = "E") -> Row:
    return Row(
        name=name,
        row=row,  # type: ignore[arg-type]
        verdict=Verdict.row if words else Verdict.fine,
        reference=reference,
        words=words,
        field_name=field_name,
    )


_LONG_ID = b'{"image": "good.png", "id": ' + b"1" * 5000 + b"}"

LINES = [
    _line("bytes that are not UTF-8", b'{"id": "@id", "image": "\xff\xfe"}', "not-utf8"),
    _line("UTF-16", '{"id": "@id"}'.encode("utf-16-le"), "not-json"),
    _line("half an object", b'{"id": "@id", "image": "good.png"', "not-json"),
    _line("single quotes", b"{'image': 'good.png'}", "not-json"),
    _line("a comma too many", b'{"image": "good.png",}', "not-json"),
    _line("a list", b"[1, 2]", "wrong-type"),
    _line("a number of 5 000 digits", _LONG_ID, "not-json"),
    _line("a key on a line twice", b'{"id": "@id", "image": "good.png", "image": "b.png"}', "duplicate-key"),
    _line("NaN", b'{"id": "@id", "image": "good.png", "width": NaN}', "not-finite"),
    _line("-Infinity", b'{"id": "@id", "image": "good.png", "width": -Infinity}', "not-finite"),
    _line("lists a million deep", b"[" * 1_000_000, "nested-too-deeply"),
    _line("objects a hundred thousand deep", b'{"a":' * 100_000, "nested-too-deeply"),
    _line("no image", named_row(image=None), "missing-field", "image"),
    _line("an image that is not there", named_row(image="nowhere.png"), "missing-file", "image"),
    _line("an image that is a number", named_row(image=3), "wrong-type", "image"),
    _line("a field that nobody reads", named_row(sufix="a"), "unknown-field", "sufix"),
    _line("a suffix that is a number", named_row(suffix=3), "wrong-type", "suffix"),
    _line("an empty suffix", named_row(suffix=""), "empty-text", "suffix"),
    _line("an empty answer", named_row(answers=[""]), "empty-text", "answers[0]"),
    _line("captions in an object", named_row(captions={"a": 1}), "wrong-type", "captions"),
    _line("an id that is a fraction", named_row(id=1.5), "wrong-type", "id"),
    _line("<image> in the prefix", named_row(prefix="<image> detect cell"), "control-token", "prefix"),
    _line("<eos> in the suffix", named_row(suffix="cell<eos>"), "control-token", "suffix"),
    _line("<bos> in front of the prefix", named_row(prefix="<bos>detect cell"), "control-token", "prefix"),
    _line("<loc0012> in a question", named_row(question="what is <loc0012>?"), "location-token", "question"),
    _line("bin 1024 in a suffix", named_row(suffix="<loc1024><loc0000><loc0000><loc0001> cell"),
          "unknown-token", "suffix"),
    _line("code 128 in a suffix", named_row(suffix="<seg128>" * 16), "unknown-token", "suffix"),
    _line("bins 0 and 1023 in a suffix", named_row(suffix="<loc0000><loc0000><loc1023><loc1023> cell"), "",
          reference="O"),
    _line("half of a surrogate pair", named_row(suffix="\ud83d"), "lone-surrogate", "suffix"),
    _line("a whole surrogate pair", named_row(suffix="\U0001f431"), "", reference="O"),
    _line("a text over the limit", named_row(suffix="cell " * 500), "too-long", "prefix and suffix"),
]  # fmt: skip


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _twin_images(folder: Path) -> None:
    for name in ("Cell.png", "cell.png"):
        (folder / name).write_bytes(encoded(picture(), "PNG"))


def _again(**changes: object) -> bytes:
    return json.dumps({**good_row(0), **changes}).encode()


_LONG = 40 << 20

FILES = [
    WholeFile(
        name="a last line that was cut off",
        content=lambda lines: _joined(lines) + b'{"id": "x", "image": "goo',
        verdict=Verdict.opening,
        reference="E",
        words="the file ends inside line 21",
    ),
    WholeFile(
        name="an id on two lines",
        content=lambda lines: _joined([*lines, _again()]),
        verdict=Verdict.opening,
        reference="E",
        words="train.jsonl:21: id 'good-0' already stands at train.jsonl:1",
    ),
    WholeFile(
        name="two names that differ in case alone",
        content=lambda lines: _joined([*lines, _again(id="x", image="Cell.png"), _again(id="y", image="cell.png")]),
        files=_twin_images,
        verdict=Verdict.opening,
        reference="E",
        words="'Cell.png' and 'cell.png' differ in upper and lower case alone: rename one",
    ),
    WholeFile(
        name="an empty file",
        content=lambda lines: b"",
        verdict=Verdict.opening,
        reference="E",
        words="holds no line",
    ),
    WholeFile(
        name="a byte order mark",
        content=lambda lines: b"\xef\xbb\xbf" + _joined(lines),
        verdict=Verdict.fixed,
        reference="F",
        words="byte order marks passed over",
    ),
    WholeFile(
        name="blank lines",
        content=lambda lines: b"\n".join(line + b"\n" for line in lines),
        verdict=Verdict.fixed,
        reference="F",
        words="blank lines passed over",
    ),
    WholeFile(
        name="lines as Windows ends them",
        content=lambda lines: b"".join(line + b"\r\n" for line in lines),
        verdict=Verdict.fine,
        reference="O",
    ),
    WholeFile(
        name="a last line without its newline",
        content=lambda lines: b"\n".join(lines),
        verdict=Verdict.fine,
        reference="",
    ),
    WholeFile(
        name="a line of 40 MiB",
        content=lambda lines: _joined([*lines, b'{"id": "' + b"x" * _LONG + b'"}']),
        verdict=Verdict.row,
        reference="E",
        words="line-too-long",
        num_rows=1,
    ),
]
