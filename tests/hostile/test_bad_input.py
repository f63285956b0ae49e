"""Every kind of bad input has one verdict, alone and among good rows, in this process and in loader processes."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.jsonl import JsonLines, JsonLinesSource
from finetune.data.encode import SampleEncoder
from finetune.data.loader import TrainingLoader, Window
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.order import position_to_index
from finetune.inspection.reading import Reader, Reading
from finetune.model.choices import TinyModel
from finetune.settings import DataSettings, OnBadSample
from finetune.types import BadSampleError
from tests.hostile.box_cases import BOXES
from tests.hostile.cases import EitherRecipe, Row, Verdict, WholeFile, encoded, good_row, picture
from tests.hostile.image_cases import IMAGES
from tests.hostile.line_cases import FILES, LINES
from tests.hostile.path_cases import PATHS

ROWS: list[Row] = [*IMAGES, *PATHS, *LINES, *BOXES]
_SHARE = 20
_WINDOW = 20
_SECONDS, _MIB = 2.0, 512
# What a person can do about it.
_ADVICE = re.compile(
    r"\b(fetch|export|store|raise|set|give|check|remove|mend|write|save|copy|download|leave|fill|name|put|rename|"
    r"did you mean|known:|shorten|convert|declared|must (not )?be|must add up|needs|which one|is .* its real)\b|\?$"
)


@pytest.fixture(scope="module")
def encoder() -> SampleEncoder:
    inputs = TinyModel(image_size=28).read_inputs()
    return SampleEncoder(
        tokenizer=inputs.tokenizer,
        image_size=inputs.image_size,
        num_image_tokens=inputs.num_image_tokens,
        data=DataSettings(on_bad_sample=OnBadSample.skip),
    )


def _open(folder: Path, content: bytes, **settings: object) -> JsonLinesSource:
    (folder / "good.png").write_bytes(encoded(picture(), "PNG"))
    (folder / "train.jsonl").write_bytes(content)
    repair = {"bad_boxes": BadBoxes.repair} if settings else {}
    return JsonLines(root=str(folder), **repair).open("train")


def _good_lines(number: int) -> list[bytes]:
    return [json.dumps(good_row(index)).encode() for index in range(number)]


def _read(source: JsonLinesSource, encoder: SampleEncoder, index: int) -> Reading:
    return Reader(source=source, recipe=EitherRecipe(), encoder=encoder, seed=0, shown=frozenset({index}))[index]


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    names = [(kind, case.name) for kind, cases in _KINDS.items() for case in cases]
    assert len(set(names)) == len(names) >= 70
    for _, case in ((kind, case) for kind, cases in _KINDS.items() for case in cases):
        as_listed = {
            "E": (Verdict.opening, Verdict.row),
            "S": (Verdict.row,),
            "F": (Verdict.fixed,),
            "O": (Verdict.fine,),
        }
        assert case.differs or case.verdict in as_listed.get(case.reference, (case.verdict,)), case.name


_KINDS: dict[str, list[Row] | list[WholeFile]] = {
    "image": IMAGES, "path": PATHS, "line": LINES, "box": BOXES, "file": FILES,
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_a_row_alone_has_its_verdict_within_two_seconds_and_512_mib(
    case: Row, encoder: SampleEncoder, tmp_path: Path
) -> None:
    case.files(tmp_path)
    source = _open(tmp_path, case.line("", "bad") + b"\n", **case.settings)
    assert len(source) == 1
    begin_measuring()
    start = time.process_time()
    reading = _read(source, encoder, 0)
    assert time.process_time() - start < _SECONDS
    assert peak_mib() < _MIB
    _check(case, reading, "train.jsonl:1")


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_a_whole_file_has_its_verdict(case: WholeFile, encoder: SampleEncoder, tmp_path: Path) -> None:
    case.files(tmp_path)
    good = _good_lines(_SHARE)
    start = time.process_time()
    if case.verdict is Verdict.opening:
        with pytest.raises(ValueError, match=re.escape(case.words)):
            _open(tmp_path, case.content(good))
        return
    source = _open(tmp_path, case.content(good))
    assert len(source) == len(good) + case.num_rows
    readings = [_read(source, encoder, index) for index in range(len(source))]
    assert time.process_time() - start < _SECONDS
    assert [reading.sample_id for reading in readings if reading.skip is None] == [f"good-{n}" for n in range(_SHARE)]
    assert [reading.skip.code for reading in readings if reading.skip is not None] == [case.words] * case.num_rows
    notes = {note for reading in readings for note in _notes(reading)}
    assert notes == ({case.words} if case.verdict is Verdict.fixed else set())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[JsonLinesSource, dict[int, Row]]:
    """All rows, each after nineteen good ones; and which stands where."""
    folder = tmp_path_factory.mktemp("mixed")
    cases = [case for case in ROWS if not case.settings and not case.alone]
    lines = _good_lines(_SHARE * len(cases))
    place = {_SHARE * number + _SHARE - 1: case for number, case in enumerate(cases)}
    for number, (index, case) in enumerate(place.items()):
        own = folder / f"case-{number}"
        own.mkdir()
        case.files(own)
        lines[index] = case.line(f"case-{number}/", f"bad-{index}")
    return _open(folder, b"".join(line + b"\n" for line in lines)), place


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_read_is_used_or_skipped_and_good_rows_keep_their_order(
    mixed: tuple[JsonLinesSource, dict[int, Row]], encoder: SampleEncoder, num_workers: int
) -> None:
    source, place = mixed
    windows = _epoch(source, encoder, num_workers)
    skips = [skip for window in windows for skip in window.skips]
    batches = [batch for window in windows for batch in window.batches]
    weights = np.concatenate([batch.example_weights.numpy() for batch in batches])
    names = [name for batch in batches for name in batch.sample_ids]
    assert len(names) == len(source) == int(weights.sum()) + len(skips)
    order = [position_to_index(_seed_of(), 0, place, len(source), None) for place in range(len(source))]
    refused = {index for index, case in place.items() if case.verdict is Verdict.row}
    assert sorted(skip.index for skip in skips) == sorted(refused)
    assert [weight == 0 for weight in weights] == [index in refused for index in order]
    good = [index for index in order if index not in place]
    assert [name for name in names if name.startswith("good-")] == [f"good-{index}" for index in good]
    for skip in skips:
        assert (skip.code, skip.origin) == (place[skip.index].words or skip.code, f"train.jsonl:{skip.index + 1}")


def test_the_first_bad_row_ends_a_run_that_did_not_ask_for_skips(
    mixed: tuple[JsonLinesSource, dict[int, Row]], encoder: SampleEncoder
) -> None:
    strict = SampleEncoder(
        tokenizer=encoder.tokenizer,
        image_size=encoder.image_size,
        num_image_tokens=encoder.num_image_tokens,
        data=DataSettings(),
    )
    with pytest.raises(BadSampleError, match=r"^train\.jsonl:\d+"):
        _epoch(mixed[0], strict, 0)


def _epoch(source: JsonLinesSource, encoder: SampleEncoder, num_workers: int) -> list[Window]:
    ingredient = Ingredient(name="", source=source, recipe=EitherRecipe())
    loader = TrainingLoader(
        TrainingSet(ingredients=(ingredient,), seed=0),
        encoder,
        seed=0,
        global_batch_size=_WINDOW,
        micro_batch_size=_WINDOW,
        num_workers=num_workers,
    )
    return list(loader.windows(0, len(source) // _WINDOW))


def _seed_of() -> int:
    from finetune.data.order import stable_hash

    return stable_hash("ingredient", 0, "")


def _check(case: Row, reading: Reading, origin: str) -> None:
    if case.verdict is Verdict.row:
        skip = reading.skip
        assert skip is not None, f"it was used, with the notes {reading.notes}"
        assert skip.code == (case.words or skip.code), skip.message
        assert (skip.origin, skip.field_name) == (origin, case.field_name), skip.message
        assert skip.sample_id in ("bad", origin, "")
        assert _ADVICE.search(skip.message), skip.message
        assert "\n" not in skip.message
        assert len(skip.message) < 1000
        return
    assert reading.skip is None, reading.skip
    assert len(_notes(reading)) == (case.verdict is Verdict.fixed)
    assert case.words in "".join(_notes(reading))


def _notes(reading: Reading) -> list[str]:
    """Return what was counted, apart from good rows' own."""
    return [note for note in reading.notes if not note.startswith("ready-made ")]


def begin_measuring() -> None:
    """Let the peak of this process's memory begin again."""
    Path("/proc/self/clear_refs").write_text("5")
    peak_mib.before = _resident("VmRSS")  # type: ignore[attr-defined]


def peak_mib() -> float:
    """Return by how much memory grew at most since."""
    return _resident("VmHWM") - peak_mib.before  # type: ignore[attr-defined,no-any-return]


def _resident(name: str) -> float:
    match = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) / 1024
