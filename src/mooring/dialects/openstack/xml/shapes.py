"""What a value of JSON can look like in XML.  Each shape writes a value as an element, and reads the element back as that value.

Reading is also how bodies are understood.  What a shape doesn't know is kept, so that the body's model can refuse it by name; a value that
isn't of its leaf's kind stays the text that it is, for the same reason.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, cast
from xml.sax.saxutils import escape, quoteattr

from mooring.dialects.http import Json, Refused, shown
from mooring.dialects.openstack.xml.parsing import Element

NULL = "None"
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_REAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_TRUTHS = {"true": True, "false": False}
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Kind(Enum):
    """What stands in a leaf."""

    TEXT = "text"
    WHOLE = "whole number"
    REAL = "number"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A text, number or truth, in an attribute or as the text of an element.  `null` is how null is written, where there can be one."""

    kind: Kind = Kind.TEXT
    null: str | None = None

    def text_of(self, value: object) -> str:
        """Write a value as nova did, which is as Python does; characters that XML has no way to say become U+FFFD."""
        if value is None:
            return NULL if self.null is None else self.null
        return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", str(value))

    def value_of(self, text: str) -> Json:
        """Read a text as the value that it says, or else as the text that it is."""
        if text == self.null:
            return None
        if self.kind is Kind.TRUTH:
            return _TRUTHS.get(text.lower(), text)
        if self.kind is Kind.WHOLE and _WHOLE.fullmatch(text):
            return int(text)
        if self.kind is Kind.REAL and _REAL.fullmatch(text):
            return float(text)
        return text

    def write(self, tag: str, value: object) -> Element:
        """Return <tag>value</tag>."""
        return Element(tag, text=self.text_of(value))

    def read(self, element: Element) -> Json:
        """Read <tag>value</tag>; anything else than text in it is kept."""
        if element.attributes or element.children:
            return ANYTHING.read(element)
        return self.value_of(element.text)


@dataclass(frozen=True, slots=True)
class Inside:
    """A value that stands in one attribute of its element."""

    attribute: str
    leaf: Leaf = field(default_factory=Leaf)

    def write(self, tag: str, value: object) -> Element:
        """Return <tag attribute="value"/>."""
        return Element(tag, {self.attribute: self.leaf.text_of(value)})

    def read(self, element: Element) -> Json:
        """Read it."""
        return self.leaf.value_of(element.attributes.get(self.attribute, ""))


@dataclass(frozen=True, slots=True)
class Items:
    """A list: <tag> holds an element for each item."""

    item: str
    shape: "Shape"

    def write(self, tag: str, value: object) -> Element:
        """Return <tag><item/>...</tag>."""
        items = cast("list[object]", value or [])
        return Element(tag, children=[self.shape.write(self.item, item) for item in items])

    def read(self, element: Element) -> Json:
        """Read the items."""
        _only(element, self.item)
        return [self.shape.read(child) for child in element.children]


@dataclass(frozen=True, slots=True)
class Keyed:
    """An object whose keys are data: <tag> holds an element for each, which has its key in an attribute."""

    item: str
    key: str
    shape: "Shape"

    def write(self, tag: str, value: object) -> Element:
        """Return <tag><item key="..."/>...</tag>."""
        made = Element(tag)
        for key, inside in cast("Mapping[str, object]", value or {}).items():
            child = self.shape.write(self.item, inside)
            child.attributes = {self.key: Leaf().text_of(key), **child.attributes}
            made.children.append(child)
        return made

    def read(self, element: Element) -> Json:
        """Read the items."""
        _only(element, self.item)
        made: dict[str, Json] = {}
        for child in element.children:
            key = child.attributes.pop(self.key, None)
            if key is None:
                raise Refused(400, f"Malformed request body: {self.item} in {shown(element.tag)} has no {self.key}.")
            _put(made, key, self.shape.read(child), element)
        return made


@dataclass(frozen=True, slots=True)
class Beside:
    """A list whose items stand directly in what holds the list; only a Node's child can be one."""

    item: str
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Node:
    """An object: some keys are attributes, the others elements; `names` is what keys are called in XML if it is something else.

    `left_out` are keys that the shape has no place for.
    """

    attributes: Mapping[str, Leaf] = field(default_factory=dict[str, Leaf])
    children: Mapping[str, "Shape | Beside"] = field(default_factory=dict[str, "Shape | Beside"])
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: frozenset[str] = frozenset()

    def write(self, tag: str, value: object) -> Element:
        """Return the object's element, with the keys that it has."""
        made = Element(tag)
        for key, inside in cast("Mapping[str, object]", value).items():
            name, leaf, child = self.names.get(key, key), self.attributes.get(key), self.children.get(key)
            if key in self.left_out:
                continue
            if leaf is not None:
                made.attributes[name] = leaf.text_of(inside)
            elif isinstance(child, Beside):
                items = cast("list[object]", inside or [])
                made.children += [child.shape.write(child.item, item) for item in items]
            else:
                made.children.append((child or ANYTHING).write(name, inside))
        return made

    def read(self, element: Element) -> Json:
        """Read attributes and elements alike as keys: bodies have the one or the other, as it was with nova."""
        keys = {name: key for key, name in self.names.items()}
        beside = {child.item: (key, child) for key, child in self.children.items() if isinstance(child, Beside)}
        made: dict[str, Json] = {}
        for name, text in element.attributes.items():
            key = keys.get(name, name)
            _put(made, key, self._leaf(key).value_of(text), element)
        for child in element.children:
            if child.tag in beside:
                key, many = beside[child.tag]
                cast("list[Json]", made.setdefault(key, [])).append(many.shape.read(child))
                continue
            key = keys.get(child.tag, child.tag)
            shape = self.children.get(key) or self.attributes.get(key)
            known = ANYTHING if shape is None or isinstance(shape, Beside) else shape
            _put(made, key, known.read(child), element)
        if element.text:
            raise Refused(400, f"Malformed request body: text in {shown(element.tag)}, which has none.")
        return made

    def _leaf(self, key: str) -> Leaf:
        child = self.children.get(key)
        return self.attributes.get(key) or (child if isinstance(child, Leaf) else Leaf())


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that no other shape is for: elements all the way down, as nova wrote its plainest views."""

    def write(self, tag: str, value: object) -> Element:
        """Return an element for each key and item."""
        match value:
            case dict():
                inside = cast("dict[str, object]", value)
                return Element(tag, children=[self.write(key, item) for key, item in inside.items()])
            case list():
                name = tag.removesuffix("s") if tag.endswith("s") else "item"
                return Element(tag, children=[self.write(name, item) for item in cast("list[object]", value)])
            case _:
                return Leaf().write(tag, value)

    def read(self, element: Element) -> Json:
        """Read an object of attributes and elements, or else a text, or else null."""
        if element.attributes or element.children:
            return Node().read(element)
        return element.text or None


Shape: TypeAlias = Leaf | Inside | Items | Keyed | Node | Anything
ANYTHING = Anything()


def _only(element: Element, item: str) -> None:
    """Refuse anything in an element but some others."""
    wrong = [*element.attributes, *(child.tag for child in element.children if child.tag != item)]
    if wrong or element.text:
        found = shown(wrong[0]) if wrong else "text"
        raise Refused(
            400, f"Malformed request body: {found} in {shown(element.tag)}, in which there can only be {item}."
        )


def _put(made: dict[str, Json], key: str, value: Json, element: Element) -> None:
    if key in made:
        raise Refused(400, f"Malformed request body: {shown(key)} twice in {shown(element.tag)}.")
    made[key] = value


# ----------------------------------------------------------------------------------------------------------------- text


def serialised(root: Element, namespaces: Mapping[str, str], namespace: str | None, *, declaration: bool) -> bytes:
    """Return a document as UTF-8: `namespace` is that of names without a prefix, `namespaces` say what prefixes stand for."""
    pieces: list[str] = []
    prefixes: set[str] = set()
    _write(root, pieces, prefixes)
    # Only now is it known which prefixes the root has to explain.
    named = "".join(f" xmlns:{prefix}={quoteattr(namespaces[prefix])}" for prefix in sorted(prefixes))
    pieces.insert(1, named + (f" xmlns={quoteattr(namespace)}" if namespace else ""))
    head = "<?xml version='1.0' encoding='UTF-8'?>\n" if declaration else ""
    return (head + "".join(pieces)).encode()


def _write(element: Element, pieces: list[str], prefixes: set[str]) -> None:
    # By recursion, which goes no deeper than the shapes do.
    for name in (element.tag, *element.attributes):
        prefix, colon, _ = name.partition(":")
        if colon:
            prefixes.add(prefix)
    pieces.append(f"<{element.tag}")
    pieces += [f" {name}={quoteattr(text)}" for name, text in element.attributes.items()]
    if not element.children and not element.text:
        pieces.append("/>")
        return
    # A bare carriage return would be read as the end of a line.
    pieces.append(">" + escape(element.text, {"\r": "&#13;"}))
    for child in element.children:
        _write(child, pieces, prefixes)
    pieces.append(f"</{element.tag}>")
