"""The lines of translated captions, found without parsing them."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.caption_lines import index_captions
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError

PLACE = RowPlace(origin="here", sample_id="1")


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def row(image: str, language: str, translation: str) -> dict[str, str]:
    return {"image_id": image, "src_lang": "en", "trg_lang": language, "translation_tokenized": translation}


@given(
    lines=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["de", "sw"]), st.text(max_size=12)), max_size=12),
)
def test_every_line_is_found_in_its_group_in_the_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str, str]]
) -> None:
    lines = [*lines, (9, "de", "eins"), (9, "sw", "moja")]
    expected: dict[tuple[str, int], list[str]] = defaultdict(list)
    for image, language, text in lines:
        expected[language, image].append(text)
    path = tmp_path_factory.mktemp("lines") / "captions.jsonl"
    index = index_captions(write(path, [row(f"{image}_0", *rest) for image, *rest in lines]), ("de", "sw"))
    found = {
        (language, int(index.images[group])): index.read(group, "translation_tokenized", PLACE)
        for language in ("de", "sw")
        for group in index.groups_of(language)
    }
    assert found == expected


def test_names_inside_a_caption_are_not_taken_for_the_lines_own(tmp_path: Path) -> None:
    tricky = {"translation_tokenized": 'x", "trg_lang": "sw", "image_id": "7', "image_id": "3_1", "trg_lang": "de"}
    index = index_captions(write(tmp_path / "captions.jsonl", [tricky]), ("de",))
    assert index.images.tolist() == [3]


def test_lines_of_other_languages_and_blank_ones_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.jsonl", [row("3_0", "de", "a"), row("3_0", "tlh", "b")])
    path.write_text(path.read_text() + "\n")
    assert len(index_captions(path, ("de",)).starts) == 1


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.jsonl", [row("3_0", "de", "a"), {"caption": "b"}])
    with pytest.raises(ValueError, match=r"captions.jsonl:2 has no"):
        index_captions(path, ("de",))


def test_a_language_without_a_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.jsonl", [row("3_0", "de", "a")])
    with pytest.raises(ValueError, match="has no caption in sw"):
        index_captions(path, ("de", "sw"))


def test_an_empty_file_has_no_language(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no caption in de"):
        index_captions(write(tmp_path / "captions.jsonl", []), ("de",))


def test_a_line_that_is_no_json_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"image_id": "3_0", "trg_lang": "de", \n')
    index = index_captions(path, ("de",))
    with pytest.raises(BadSampleError, match="not-json"):
        index.read(0, "translation_tokenized", PLACE)
