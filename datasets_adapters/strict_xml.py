"""XML without the parts that attack its reader: a document type, and with it every entity, is refused."""

from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat


def parse_xml(encoded: bytes) -> Element:
    """Parse a document.

    Raises:
        ValueError: If it is not well-formed or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(encoded, True)
    except expat.ExpatError as error:
        raise ValueError(f"is not well-formed XML: {error}") from error
    return builder.close()


def _refuse_document_type(*_declaration: object) -> NoReturn:
    raise ValueError("declares a document type, whose entities could read files or fill memory: remove <!DOCTYPE ...>")
