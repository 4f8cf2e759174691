"""ISO 9660 volumes with a few small files: what a config drive is, and any guest can read.

Names are of level 2 (31 bytes) as ECMA-119 has them, in capitals; Linux shows them in small letters and without their version.  There
are no extensions for longer or other names, and one extent for each file.  The same content gives the same bytes.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

BLOCK = 2048

_FIRST = 16  # blocks that the format leaves to others
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")
_NO_DATE = b"0" * 16 + b"\0"
_DIRECTORY = 2


@dataclass(slots=True)
class _Node:
    """A file or a directory, where it lies, and how many bytes it has there."""

    name: bytes
    content: bytes | None = None
    children: dict[str, "_Node"] = field(default_factory=dict[str, "_Node"])
    block: int = 0

    @property
    def is_directory(self) -> bool:
        return self.content is None

    @property
    def size(self) -> int:
        return BLOCK if self.content is None else len(self.content)


def volume(label: str, files: Mapping[str, bytes]) -> bytes:
    """Return a volume of this label with files by their paths, as `openstack/latest/meta_data.json`.

    Raises:
        ValueError: a name is longer than the format has room for, or has other than small letters, digits, `_` and one dot; or a
            directory has more than some forty entries.
    """
    root = _Node(b"\0")
    for path, content in files.items():
        _place(root, path, content)
    directories = [root]
    for above in directories:  # grows while it is walked: by depth, as the path table wants it
        directories += [child for _, child in sorted(above.children.items()) if child.is_directory]
    # The volume's descriptor, the end of descriptors, the path table with either end first, directories, files.
    position = _FIRST + 4
    for each in directories:
        each.block, position = position, position + 1
    contents = [child for each in directories for _, child in sorted(each.children.items()) if not child.is_directory]
    for each in contents:
        each.block, position = position, position + -(-each.size // BLOCK)
    parents = {id(child): each for each in directories for child in each.children.values()}
    blocks = [
        _descriptor(label, root, position, len(_path_table(directories, parents, "<"))),
        b"\xffCD001\x01",
        _path_table(directories, parents, "<"),
        _path_table(directories, parents, ">"),
        *(_entries(each, parents.get(id(each), root)) for each in directories),
        *(each.content or b"" for each in contents),
    ]
    return bytes(_FIRST * BLOCK) + b"".join(block + bytes(-len(block) % BLOCK) for block in blocks)


def _place(root: _Node, path: str, content: bytes) -> None:
    *above, name = path.split("/")
    node = root
    for part in above:
        node = node.children.setdefault(part, _Node(_checked(part)))
    separator = b"" if "." in name else b"."
    node.children[name] = _Node(_checked(name) + separator + b";1", content)
    if sum(len(_record(child.name, child)) for child in node.children.values()) > BLOCK - 2 * 34:
        raise ValueError(f"too many files beside {path}")


def _checked(name: str) -> bytes:
    if len(name) > 30 or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of level 2")
    return name.upper().encode("ascii")


def _both(value: int) -> bytes:
    """Write a number of 32 bits as the format has most of them: with either end first."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def _both_short(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _record(name: bytes, node: _Node) -> bytes:
    flags = _DIRECTORY if node.is_directory else 0
    # Years from 1900, month, day; the time and its zone.
    date = bytes((70, 1, 1, 0, 0, 0, 0))
    tail = bytes((flags, 0, 0)) + _both_short(1) + bytes((len(name),)) + name
    body = b"\0" + _both(node.block) + _both(node.size) + date + tail
    body += bytes((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _entries(node: _Node, parent: _Node) -> bytes:
    children = [child for _, child in sorted(node.children.items())]
    return b"".join((_record(b"\0", node), _record(b"\1", parent), *(_record(child.name, child) for child in children)))


def _path_table(directories: list[_Node], parents: Mapping[int, _Node], order: str) -> bytes:
    number = {id(each): index for index, each in enumerate(directories, start=1)}
    table = b""
    for each in directories:
        above = number[id(parents.get(id(each), each))]
        table += struct.pack(f"{order}BBIH", len(each.name), 0, each.block, above) + each.name
        table += bytes(len(each.name) % 2)
    return table


def _descriptor(label: str, root: _Node, blocks: int, table_size: int) -> bytes:
    return b"".join(
        (
            b"\x01CD001\x01\0",
            b" " * 32,
            label.encode("ascii").ljust(32),
            bytes(8),
            _both(blocks),
            bytes(32),
            _both_short(1) * 2,
            _both_short(BLOCK),
            _both(table_size),
            struct.pack("<II", _FIRST + 2, 0),
            struct.pack(">II", _FIRST + 3, 0),
            _record(b"\0", root),
            b" " * 128 * 4,
            b" " * 37 * 3,
            _NO_DATE * 4,
            b"\x01\0",
        )
    )
