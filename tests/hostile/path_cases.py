"""Bad input, paths: names in a row that lead somewhere else, or nowhere."""

from pathlib import Path

from tests.hostile.cases import Row, Verdict, encoded, named_row, picture


def _name(name: str, value: object, words: str, reference: str = "E", *, files: object = lambda folder: None) -> Row:
    return Row(
        name=name,
        row=named_row(image=value),
        files=files,  # type: ignore[arg-type]
        verdict=Verdict.row if words else Verdict.fine,
        reference=reference,
        words=words,
    )


def _link(target: str) -> object:
    return lambda folder: (folder / "link.png").symlink_to(target)


def _link_inside(folder: Path) -> None:
    (folder / "real.png").write_bytes(encoded(picture(), "PNG"))
    (folder / "link.png").symlink_to(folder / "real.png")


def _not_utf8(folder: Path) -> None:
    (Path(folder) / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(encoded(picture(), "PNG"))


PATHS = [
    _name("a path that climbs out", "../secret.png", "path-escape"),
    _name("a path that climbs out later", "@/a/../../../secret.png", "path-escape"),
    _name("a path that climbs out with backslashes", "a\\..\\..\\secret.png", "path-escape"),
    _name("an absolute path", "/etc/passwd", "absolute-path"),
    _name("an absolute path of Windows", "C:\\images\\a.png", "absolute-path"),
    _name("a share of Windows", "\\\\host\\share\\a.png", "absolute-path"),
    _name("a home folder", "~/a.png", "home-path"),
    _name("somebody else's home folder", "~root/a.png", "home-path"),
    _name("an address", "https://example.org/a.png", "url-path"),
    _name("a file address", "file:///etc/passwd", "url-path"),
    _name("an image inside an address", "data:image/png;base64,AAAA", "url-path"),
    _name("a NUL", "good.png\0.txt", "nul-in-path"),
    _name("nothing", "", "empty-path"),
    _name("a link out of the folder", "@/link.png", "path-outside-folder", files=_link("/etc/passwd")),
    _name("a link to itself", "@/link.png", "link-loop", files=_link("link.png")),
    _name("a link inside the folder", "@/link.png", "", "O", files=_link_inside),
    _name("a name of 4 096 characters", "a" * 4096, "path-too-long"),
    _name("a name of 300 characters", "a" * 300, "path-too-long"),
    _name("a name that is not UTF-8", "@/\udcff.png", "lone-surrogate", files=_not_utf8),
    Row(
        name="a name in the wrong case",
        row=named_row(image="GOOD.png"),
        verdict=Verdict.row,
        reference="E",
        words="missing-file",
        alone="beside a row with the right name, the two are refused when the data set is opened",
    ),
]
