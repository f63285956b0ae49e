"""Plain data out of RefCOCO's pickles, and nothing else."""

import collections
import contextlib
import datetime
import importlib
import json
import math
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ASSET = Path(__file__).parents[1] / "assets" / "published" / "refcoco"
Load = Callable[[str], ModuleType]

# What Python 2 wrote with its first protocol, by hand: texts as bytes in quotes, places in the memo, long numbers.
PYTHON_2 = b"""(lp0
(dp1
S'sent'
p2
S"the cat's \\xc3\\xa9"
p3
sS'ann_id'
p4
I1719310
sS'long'
L12L
sS'yes'
I01
sS'x'
F0.5
sS'raw'
V\\u00e9
sS'none'
Nsag1
a."""


@pytest.fixture(scope="module")
def scripts() -> Iterator[Load]:
    """Import a script by its name, as its neighbours do."""
    folder = str(Path(__file__).parents[2] / "scripts")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)
    for name in ("plain_pickle", "prepare_refcoco"):
        sys.modules.pop(name, None)


def as_json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return {key: as_json(one) for key, one in value.items()} if isinstance(value, dict) else value


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back_from_every_protocol(scripts: Load, value: Any, protocol: int) -> None:
    read = scripts("plain_pickle").read_plain(pickle.dumps(value, protocol=protocol))
    assert read == as_json(value)
    assert not isinstance(value, float) or math.copysign(1, read) == math.copysign(1, value)


def test_long_lists_and_texts_come_back(scripts: Load) -> None:
    value = {"texts": ["word " * 100] * 3, "numbers": list(range(-70_000, 70_000, 777)), "big": 2**200}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert scripts("plain_pickle").read_plain(pickle.dumps(value, protocol=protocol)) == value


def test_what_python_2_wrote_is_read(scripts: Load) -> None:
    expected = {
        "sent": "the cat's é",
        "ann_id": 1719310,
        "long": 12,
        "yes": True,
        "x": 0.5,
        "raw": "é",
        "none": None,
    }
    assert scripts("plain_pickle").read_plain(PYTHON_2) == [expected, expected]


class Bomb:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('it ran')",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [Bomb(), [Bomb()], collections.OrderedDict(a=1), datetime.date(2026, 1, 1), {1, 2}, len, complex(1, 2)],
    ids=lambda value: type(value).__name__,
)
def test_whatever_would_call_something_is_refused_unread(scripts: Load, value: object, protocol: int) -> None:
    module = scripts("plain_pickle")
    with pytest.raises(module.NotPlainError, match="holds more than plain data: instruction"):
        module.read_plain(pickle.dumps(value, protocol=protocol))


@given(encoded=st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(scripts: Load, encoded: bytes) -> None:
    module = scripts("plain_pickle")
    with contextlib.suppress(module.NotPlainError):
        module.read_plain(encoded)


@given(cut=st.integers(0, len(PYTHON_2) - 1))
def test_a_file_that_was_cut_off_is_refused(scripts: Load, cut: int) -> None:
    module = scripts("plain_pickle")
    with pytest.raises(module.NotPlainError):
        module.read_plain(PYTHON_2[:cut])


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """The folders that the archives unpack to, with the authors' pickles."""
    for name, partition in (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")):
        shutil.copytree(ASSET / name, tmp_path / name)
        references = json.loads((ASSET / f"{name}_{partition}.json").read_text())
        for reference in references:
            reference["sent_ids"] = [sentence["sent_id"] for sentence in reference["sentences"]]
            for sentence in reference["sentences"]:
                sentence["tokens"] = sentence["sent"].split()
        (tmp_path / name / f"refs({partition}).p").write_bytes(pickle.dumps(references, protocol=0))
    return tmp_path


def prepare(scripts: Load, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare", str(root)])
    scripts("prepare_refcoco").main()


def test_the_script_writes_what_the_source_reads(
    scripts: Load, archives: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(scripts, archives, monkeypatch)
    for name in ("refcoco_unc.json", "refcoco+_unc.json", "refcocog_umd.json"):
        assert json.loads((archives / name).read_text()) == json.loads((ASSET / name).read_text())
    assert "refcoco_unc.json: 9 objects, train 4, val 3, testA 1, testB 1" in capsys.readouterr().out


def test_a_file_with_more_than_data_stops_the_script_and_leaves_nothing(
    scripts: Load, archives: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (archives / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps([Bomb()]))
    with pytest.raises(SystemExit):
        prepare(scripts, archives, monkeypatch)
    assert "refs(unc).p holds more than plain data" in capsys.readouterr().err
    assert not (archives / "refcoco_unc.json").exists()


@pytest.mark.parametrize("value", [{"a": 1}, [1], [{"ref_id": 1}], [{"ref_id": 1, "sentences": 2}]])
def test_plain_data_of_another_form_is_refused(
    scripts: Load, archives: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: object
) -> None:
    (archives / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(value))
    with pytest.raises(SystemExit):
        prepare(scripts, archives, monkeypatch)
    assert "is it another file?" in capsys.readouterr().err


def test_a_folder_without_the_archives_is_said(
    scripts: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        prepare(scripts, tmp_path, monkeypatch)
    assert "has no instances.json in refcoco, refcoco+, refcocog" in capsys.readouterr().err
