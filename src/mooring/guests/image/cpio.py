"""cpio archives in the one format that a Linux kernel reads as its initramfs (newc), the same bytes for the same content."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its path, its mode with the type, and its content; for a symbolic link where it leads, for a directory nothing."""

    path: str
    mode: int
    content: bytes = b""


def file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    """Return a regular file."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def link(path: str, target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def directory(path: str) -> Entry:
    """Return a directory."""
    return Entry(path, stat.S_IFDIR | 0o755)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return an archive, with the directories that the entries lie in; everything is root's and of 1970."""
    given = {entry.path: entry for entry in entries}
    for path in list(given):
        parts = path.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            above = "/".join(parts[:length])
            given.setdefault(above, directory(above))
    # A directory is a prefix of what lies in it, so it comes first.
    ordered = [given[path] for path in sorted(given)]
    return b"".join(_record(number, entry) for number, entry in enumerate([*ordered, Entry(_TRAILER, 0)], start=1))


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
