"""The file holds no tokenizer: which one is taken, and when none is."""

import shutil
from pathlib import Path

import pytest

from finetune.model.choices import TINY_TOKENIZER
from finetune.model.npz_tokenizer import PUBLISHED_SIZE, find_tokenizer, is_hub_name
from finetune.tokens.tokenizer import Tokenizer

SIZE = Tokenizer.from_folder(TINY_TOKENIZER).vocabulary_size


def find(npz: Path, given: str | None, size: int = SIZE) -> Path:
    return find_tokenizer(npz, given, vocabulary_size=size, embedded=TINY_TOKENIZER)


def test_the_one_that_is_given_comes_first_then_the_one_beside_then_the_embedded_one(tmp_path: Path) -> None:
    assert find(tmp_path / "x.npz", None) == TINY_TOKENIZER
    shutil.copyfile(TINY_TOKENIZER / "tokenizer.json", tmp_path / "tokenizer.json")
    assert find(tmp_path / "x.npz", None) == tmp_path
    assert find(tmp_path / "x.npz", str(TINY_TOKENIZER)) == TINY_TOKENIZER


def test_a_published_table_asks_for_its_tokenizer_and_says_where_one_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set model\.tokenizer to a folder .*=google/paligemma-3b-pt-224"):
        find(tmp_path / "x.npz", None, PUBLISHED_SIZE)


def test_a_tokenizer_of_another_size_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"has {SIZE} ids below <image>, the table of .* has 99 rows"):
        find(tmp_path / "x.npz", str(TINY_TOKENIZER), 99)


@pytest.mark.parametrize("given", ["nowhere", "./no/where", "/no/where"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ValueError, match=r"model\.tokenizer: there is no folder"):
        find(tmp_path / "x.npz", given)


def test_a_folder_is_no_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("google/paligemma-3b-pt-224")
    (tmp_path / "google" / "paligemma-3b-pt-224").mkdir(parents=True)
    assert not is_hub_name("google/paligemma-3b-pt-224")
