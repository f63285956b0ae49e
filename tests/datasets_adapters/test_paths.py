import os
from pathlib import Path

import pytest
from PIL import Image

from datasets_adapters.paths import check_case, existing_file, existing_folder, find_file, stored_size
from datasets_adapters.rows import RowPlace
from finetune.types import IMAGE_FORMATS, BadSampleError, ImageFile

PLACE = RowPlace(origin="train.jsonl:3", sample_id="s3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    (images / "inner").mkdir(parents=True)
    for path in (images / "a.png", images / "inner" / "ü b.png", tmp_path / "secret.png"):
        Image.new("RGB", (6, 4)).save(path)
    (images / "inside").symlink_to(images / "a.png")
    (images / "outside.png").symlink_to(tmp_path / "secret.png")
    (images / "out").symlink_to(tmp_path)
    (images / "loop").symlink_to(images / "loop")
    os.mkfifo(images / "pipe")
    return images


@pytest.mark.parametrize("name", ["a.png", "./a.png", "inner/ü b.png", "inside", "inner//ü b.png"])
def test_images_inside_the_folder_are_found(folder: Path, name: str) -> None:
    assert Image.open(find_file(folder, name, "image", PLACE)).size == (6, 4)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "empty-path"),
        ("  ", "empty-path"),
        ("../secret.png", "path-escape"),
        ("inner/../../secret.png", "path-escape"),
        ("inner\\..\\..\\secret.png", "path-escape"),
        ("/etc/passwd", "absolute-path"),
        ("C:\\images\\a.png", "absolute-path"),
        ("\\\\host\\share\\a.png", "absolute-path"),
        ("~/a.png", "home-path"),
        ("~root/a.png", "home-path"),
        ("https://example.org/a.png", "url-path"),
        ("file:///etc/passwd", "url-path"),
        ("data:image/png;base64,AAAA", "url-path"),
        ("a\0.png", "nul-in-path"),
        ("a" * 4096, "path-too-long"),
        ("a" * 300, "path-too-long"),
        ("outside.png", "path-outside-folder"),
        ("out/secret.png", "path-outside-folder"),
        ("loop", "link-loop"),
        ("pipe", "not-a-file"),
        ("inner", "not-a-file"),
        ("b.png", "missing-file"),
        ("a.png/b.png", "missing-file"),
    ],
)
def test_other_names_are_refused_with_their_reason(folder: Path, name: str, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        find_file(folder, name, "image", PLACE)
    assert refusal.value.code == code
    assert refusal.value.field_name == "image"
    assert len(str(refusal.value)) < 400


def test_a_name_in_the_wrong_case_is_told_the_right_one(folder: Path) -> None:
    with pytest.raises(BadSampleError, match=r"did you mean 'a\.png'"):
        find_file(folder, "A.PNG", "image", PLACE)


def test_names_that_differ_in_case_alone_are_refused_and_repeated_ones_are_not() -> None:
    check_case(["a.png", "b.png", "a.png", "in/a.png", "A/b.png"], "list")
    with pytest.raises(ValueError, match=r"list: 'STRASSE\.png' and 'straße\.png' differ in upper and lower case"):
        check_case(["a.png", "STRASSE.png", "straße.png"], "list")


def test_the_header_gives_height_and_width(folder: Path) -> None:
    assert stored_size(ImageFile(name="a.png", path=folder / "a.png"), "image", PLACE) == (4, 6)


@pytest.mark.parametrize("image_format", IMAGE_FORMATS)
def test_the_header_of_every_format_that_training_reads_is_read(tmp_path: Path, image_format: str) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a", image_format)
    assert stored_size(ImageFile(name="a", path=tmp_path / "a"), "image", PLACE) == (4, 6)


def test_an_image_on_its_side_needs_a_declared_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(BadSampleError, match=r"give the row the width and height .*ambiguous-orientation"):
        stored_size(ImageFile(name="a.jpg", path=tmp_path / "a.jpg"), "image", PLACE)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadSampleError, match="unreadable-image"):
        stored_size(ImageFile(name="a.jpg", path=tmp_path / "a.jpg"), "image", PLACE)


def test_a_missing_folder_or_file_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset\.root: there is no folder .*nowhere"):
        existing_folder("dataset.root", tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"dataset\.train_file: there is no file .*nowhere"):
        existing_file("dataset.train_file", tmp_path / "nowhere")
