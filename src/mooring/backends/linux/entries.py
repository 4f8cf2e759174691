"""A DHCP server's entries: one file with a line per NIC, read again only when it was changed, and swapped whole.

One file, not one per NIC in a directory that dnsmasq watches: dnsmasq doesn't see that a file is gone, doesn't see that the kernel threw
notices away because there were too many, and needs one of the 128 inotify instances that a user may have, so a host would end at 120
networks.

How does a restarted agent know that an entry is ours?  It is in that file; every line there is.
"""

import shutil
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from mooring.backends.names import is_host_name, is_mac
from mooring.compile.facts import Key, Place, Refused, Row, fact_line
from mooring.compile.tables import DHCP_HOST

_Stamp = tuple[int, int, int]
"""What is another after any change of a file: its inode, the time of its last change, which nobody can set back, and its size."""

_SAME_MOMENT = 50_000_000
"""Kernels before 6.13 have the same time for all changes within some milliseconds."""

_NOT_OURS: Row = ("not as we write it",)


class Entries:
    """The entries of one server."""

    def __init__(self, path: Path, place: Place, network: str) -> None:
        self.path = path
        self._place = place
        self._network = network
        self._stamp: _Stamp | None = None
        self._is_old = False
        self._known: dict[Key, Row] = {}
        self._lines: dict[Key, str] = {}

    def read(self) -> Mapping[Key, Row]:
        """Return the entries that the file has; a line that we don't write so is one that is wrong."""
        stamp = self._look()
        if stamp != self._stamp or not self._is_old:
            self._parse(stamp)
        return self._known

    def change(self, put: Mapping[Key, Row], drop: Iterable[Key]) -> None:
        """Write the file anew; lines of others go.

        Raises:
            Refused: an entry can't be written, or there is no server that it could be for.
        """
        new = {key: line(key, value) for key, value in put.items()}
        stamp = self._look()
        if stamp != self._stamp:  # not as we left it
            self._parse(stamp)
        gone = {key for key in drop if key not in put}
        lines = {key: text for key, text in self._lines.items() if key not in gone}
        lines.update(new)
        try:
            write(self.path, "".join(lines.values()))
        except (FileNotFoundError, NotADirectoryError) as error:
            if put:
                key, value = next(iter(put.items()))
                raise Refused(f"{fact_line(key, value)}: no DHCP server of that network") from error
        self._lines = lines
        self._known = {key: put[key] if key in put else self._known[key] for key in lines}
        self._stamp = self._look()

    def _look(self) -> _Stamp | None:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._is_old = time.time_ns() - found.st_ctime_ns > _SAME_MOMENT
        return (found.st_ino, found.st_ctime_ns, found.st_size)

    def _parse(self, stamp: _Stamp | None) -> None:
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            stamp, text = None, ""
        self._stamp, self._known, self._lines = stamp, {}, {}
        for one in text.splitlines(keepends=True):
            mac, _, rest = one.removesuffix("\n").partition(",")
            address, _, name = rest.partition(",")
            key = Key(DHCP_HOST, self._place, (self._network, mac))
            try:
                value: Row = (IPv4Address(address), name)
                if key not in self._known and line(key, value) == one:
                    self._known[key], self._lines[key] = value, one
                    continue
            except (ValueError, Refused):
                pass
            self._known[Key(DHCP_HOST, self._place, (self._network, f"line {len(self._known)}"))] = _NOT_OURS


def line(key: Key, value: Row) -> str:
    """Write an entry; what isn't plainly a MAC address, an address and a name is refused.

    Raises:
        Refused: it can't be written.
    """
    match key.row, value:
        case (str(), str() as mac), (IPv4Address() as address, str() as name) if is_mac(mac):
            if name and not is_host_name(name):
                raise Refused(f"{fact_line(key, value)}: {name!r} is no host name")
            return f"{mac},{address},{name}\n" if name else f"{mac},{address}\n"
        case _:
            raise Refused(f"{fact_line(key, value)}: not a MAC address with its address and name")


def write(path: Path, text: str) -> None:
    """Write a file whole: nobody ever reads half of it."""
    new = path.with_name(f".{path.name}")
    new.write_text(text, encoding="ascii")
    new.chmod(0o644)
    if path.is_dir():  # nothing of ours is
        shutil.rmtree(path)
    new.replace(path)
