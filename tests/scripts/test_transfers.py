"""What every transfer resolves to and asks, that it starts, and the page that lists them all."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parent.parent.parent


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


golden, smoke, listing = script("regenerate_golden"), script("smoke_transfers"), script("list_transfers")
TRANSFERS = golden.transfers()


def text_of(pieces: Sequence[str]) -> str:
    """Put pieces together as SentencePiece does: letters that no piece has are spelt in bytes."""
    parts = (re.fullmatch(r"<0x([0-9A-F]{2})>", piece) or piece for piece in pieces)
    encoded = (part.encode() if isinstance(part, str) else bytes.fromhex(part[1]) for part in parts)
    return b"".join(encoded).decode().replace("\N{LOWER ONE EIGHTH BLOCK}", " ")


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_resolves_to_and_asks_what_its_golden_file_says(name: str) -> None:
    kept = (golden.GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    # A difference that is meant: python scripts/regenerate_golden.py, and look at the diff.
    assert golden.text_of(golden.golden(name, TRANSFERS[name])) == kept


def test_no_golden_file_is_left_of_a_transfer_that_is_gone() -> None:
    assert {path.stem for path in golden.GOLDEN.glob("*.json")} == set(TRANSFERS)


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_golden_mask_covers_the_suffix_and_nothing_else(name: str) -> None:
    content = golden.json.loads((golden.GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert content["samples"]
    for sample in content["samples"]:
        tokens, mask = sample["tokens"], sample["mask"]
        assert len(tokens) == len(mask)
        start = mask.index("s") if "s" in mask else len(mask)
        assert set(mask[:start]) <= {"."}
        assert set(mask[start:]) <= {"s"}
        assert text_of(tokens[:start]) == f"<bos>{sample['prefix']}\n"
        said = text_of(tokens[start:])
        # A long one was cut on the right, and has lost its end.
        assert said == f"{sample['suffix']}<eos>" or (sample["suffix"].startswith(said) and "<eos>" not in said)


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_starts_on_the_tiny_model(name: str, tmp_path: Path) -> None:
    # Four tokens an image instead of 64, and a thin model: what it learns in full is kept in a checkpoint.
    thin = ("model=tiny_random", "model.image_size=28", "model.decoder_width=64", "model.decoder_depth=1")
    code, said = smoke.smoke(name, TRANSFERS[name], golden.ASSETS, tmp_path, *thin)
    assert code == 0, said
    assert (tmp_path / name / "report.html").is_file()


def test_the_page_of_all_transfers_is_what_the_script_writes() -> None:
    assert listing.PAGE.read_text(encoding="utf-8") == listing.page()
