from pathlib import Path

from finetune.data.image_folder import images_in


def test_frames_follow_one_another_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    names = ["f10.jpg", "f2.jpg", "f02.jpg", "f1.PNG", "7.webp", "a.jpeg", "clip2-1.png", "clip10-0.png"]
    for name in names:
        (tmp_path / name).touch()
    ordered = ["7.webp", "a.jpeg", "clip2-1.png", "clip10-0.png", "f1.PNG", "f02.jpg", "f2.jpg", "f10.jpg"]
    assert [path.name for path in images_in(tmp_path)] == ordered


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    for name in (".DS_Store", "._1.jpg", "notes.txt", "Thumbs.db", "1.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "more.jpg").mkdir()
    assert images_in(tmp_path) == [tmp_path / "1.jpg"]
