"""CAP's XML as a small tree, read without trust.

No document type, so no entities and nothing from outside (no expansion, no file, no network); few encodings; bounds on
depth and number of elements. Whatever is not of CAP's namespace (signatures) is left out.
"""

from __future__ import annotations

from xml.parsers import expat

from city.messages import RejectReason
from ingest.decode.outcome import Undecodable

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
# alert, info, area, geocode, value are five; signatures go deeper.
_DEPTH_MAX = 16
_ELEMENTS_MAX = 20_000
# Those in which CAP is found; expat asks Python's codecs for others.
_ENCODINGS = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1251", "windows-1252"})


class Element:
    """An element of CAP with its texts and the elements in it."""

    __slots__ = ("_parts", "children", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[Element] = []
        self._parts: list[str] = []

    def add_text(self, text: str) -> None:
        """More of its text."""
        self._parts.append(text)

    def all(self, name: str) -> list[Element]:
        """The elements of a name in it, in order."""
        return [one for one in self.children if one.name == name]

    def text(self, name: str) -> str | None:
        """The text of the first element of a name, without spaces around it; None where there is none, or nothing."""
        for one in self.children:
            if one.name == name:
                return one.own_text() or None
        return None

    def own_text(self) -> str:
        """Its own text, without spaces around it."""
        return "".join(self._parts).strip()


def read_xml(payload: bytes) -> Element:
    """The document's root; raises Undecodable for all that is no plain XML."""
    reader = _Reader()
    try:
        reader.parser.Parse(payload, True)
    except expat.ExpatError as error:
        if not reader.encoding and not payload.startswith((b"\xff\xfe", b"\xfe\xff")):
            _check_utf8(payload)
        raise Undecodable(RejectReason.BAD_TYPE, f"not XML: {error}") from None
    except (ValueError, LookupError) as error:  # what a codec says of bytes that it cannot read
        raise Undecodable(RejectReason.BAD_TYPE, f"not XML: {error}") from None
    if reader.root is None:
        raise Undecodable(RejectReason.BAD_TYPE, f"the document is not of {NAMESPACE}")
    return reader.root


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(RejectReason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None


class _Reader:
    """What expat calls."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.encoding = ""
        self._open: list[Element | None] = []  # None: not CAP's, or in what is not
        self._elements = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_entity
        parser.ExternalEntityRefHandler = self._refuse_outside
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self.parser = parser

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        del version, standalone
        self.encoding = (encoding or "").lower()
        if self.encoding and self.encoding not in _ENCODINGS:
            raise Undecodable(RejectReason.BAD_VALUE, f"encoding {self.encoding[:40]}: send UTF-8")

    def _refuse_doctype(self, *_: object) -> None:
        raise Undecodable(RejectReason.BAD_VALUE, "a document type (DTD) is not allowed")

    def _refuse_entity(self, *_: object) -> None:
        raise Undecodable(RejectReason.BAD_VALUE, "entities are not allowed")

    def _refuse_outside(self, *_: object) -> int:
        raise Undecodable(RejectReason.BAD_VALUE, "nothing is read from outside the document")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        self._elements += 1
        if len(self._open) >= _DEPTH_MAX:
            raise Undecodable(RejectReason.BAD_VALUE, f"nested more than {_DEPTH_MAX} deep")
        if self._elements > _ELEMENTS_MAX:
            raise Undecodable(RejectReason.BAD_VALUE, f"more than {_ELEMENTS_MAX} elements")
        namespace, _, local = name.rpartition(" ")
        parent = self._open[-1] if self._open else None
        element = Element(local) if namespace == NAMESPACE and (parent is not None or not self._open) else None
        if element is not None and parent is not None:
            parent.children.append(element)
        elif element is not None:
            self.root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()

    def _text(self, text: str) -> None:
        if self._open and (element := self._open[-1]) is not None:
            element.add_text(text)
