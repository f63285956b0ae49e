import pytest

from datasets_adapters.strict_xml import parse_xml


def test_elements_and_their_text_are_read() -> None:
    assert parse_xml(b"<a><b>c &amp; d</b></a>").findtext("b") == "c & d"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_in_any_encoding(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(ValueError, match="declares a document type"):
        parse_xml(text.encode(encoding))


@pytest.mark.parametrize("text", [b"", b"<a>", b"<a></b>", b"<a>&b;</a>", b"{}", b"\xff"])
def test_text_that_is_no_xml_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not well-formed"):
        parse_xml(text)
