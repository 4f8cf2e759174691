"""XML from a stranger, as elements: UTF-8, no document type, not deep, and nothing that is thrown away in silence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from mooring.dialects.http import Refused, shown, storable

# Deeper than any body here, and than JSON may be: XML says with an element what JSON says with a key.
MAX_DEPTH = 16
MAX_ELEMENTS = 2000
_ENCODING = re.compile(r"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_SPACE = " \t\r\n"
_READABLE = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@dataclass(slots=True)
class Element:
    """An element: names are `local`, or `prefix:local` for what is in a namespace of NAMESPACES whatever the stranger's prefix is."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    children: list["Element"] = field(default_factory=list["Element"])
    text: str = ""


def parse_xml(body: bytes, prefixes: Mapping[str, str]) -> Element:
    """Parse a document; `prefixes` are the namespaces that keep a prefix, all others are dropped.

    Raises:
        Refused: it isn't UTF-8 or not well-formed; has a document type, and with it entities; is nested deeper than MAX_DEPTH or has more than
            MAX_ELEMENTS elements; has an attribute twice, text beside elements, or a text that no database can hold.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(400, f"Malformed request body: not UTF-8 at byte {error.start}.") from error
    declared = _ENCODING.match(text)
    if declared and declared[1].lower() not in _READABLE:
        raise Refused(400, f"Malformed request body: send UTF-8, not {shown(declared[1])}.")
    builder = _Builder(prefixes)
    # The encoding is given, so that the document has no say in it.
    parser = DefusedXMLParser(target=builder, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(text.encode())
        parser.close()
    except DefusedXmlException as error:
        raise Refused(400, "Malformed request body: document types and entities are not read.") from error
    except ParseError as error:
        raise Refused(400, f"Malformed request body: not XML: {error}.") from error
    return builder.root


class _Builder:
    """Builds elements, and refuses what is too much at the moment when it becomes so."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self.root = Element("")
        self._prefixes = prefixes
        self._open: list[Element] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        self._elements += 1
        if len(self._open) >= MAX_DEPTH:
            raise Refused(400, f"Malformed request body: nested deeper than {MAX_DEPTH} elements.")
        if self._elements > MAX_ELEMENTS:
            raise Refused(400, f"Malformed request body: more than {MAX_ELEMENTS} elements.")
        element = Element(self._name(name), {self._name(key): value for key, value in attributes.items()})
        if len(element.attributes) < len(attributes):
            raise Refused(400, f"Malformed request body: element {shown(element.tag)} has an attribute twice.")
        if not all(storable(value) for value in attributes.values()):
            raise Refused(400, "Malformed request body: a text with U+0000 or half a surrogate pair.")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def data(self, data: str) -> None:
        """Take a piece of text."""
        self._open[-1].text += data

    def end(self, _name: str) -> None:
        """End the innermost element."""
        element = self._open.pop()
        # What stands between elements is indentation; beside attributes, or alone, it is a value.
        element.text = element.text.strip(_SPACE)
        if element.text and element.children:
            raise Refused(400, f"Malformed request body: element {shown(element.tag)} has text beside elements.")

    def close(self) -> None:
        """End the document."""

    def _name(self, name: str) -> str:
        namespace, brace, local = name.removeprefix("{").rpartition("}")
        if not brace:
            return name
        prefix = self._prefixes.get(namespace)
        return local if prefix is None else f"{prefix}:{local}"
