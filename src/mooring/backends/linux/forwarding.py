"""Where a tunnel device sends frames, and whose ARP it answers <-> facts.

A tunnel learns nothing: to which host a frame goes, and which hardware address an address has, is what the controller said.

How does a restarted agent know that an entry is ours?  It is on a tunnel device of ours: nobody else has anything to say there, and what no
subject asks for is taken out.
"""

import errno
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address

from mooring.backends.linux.devices import mistyped
from mooring.backends.linux.neighbours import ARP, BRIDGING, Entry, Request, noticed
from mooring.backends.linux.space import Space
from mooring.backends.names import is_device, is_mac
from mooring.compile.carriers import EVERYBODY
from mooring.compile.facts import HOST, Key, Refused, Row, fact_line
from mooring.compile.tables import FDB, NEIGHBOUR

_EVERYBODY = bytes.fromhex(EVERYBODY.replace(":", ""))
_GONE = frozenset({errno.ENOENT, errno.ENODEV})

_About = tuple[int, int, bytes]


class Forwarding:
    """The entries of all tunnel devices of a host."""

    def __init__(self, host: Space) -> None:
        self._host = host
        # What we know to hold, for telling others' changes from ours.  The kernel's notices don't say whose they are.
        self._known: dict[_About, bytes] = {}
        self._keys: dict[tuple[str, _About], Key] = {}
        self._devices: set[int] = set()

    def read(self, tunnels: Mapping[int, str]) -> dict[Key, Row]:
        """Return the entries of devices, which are given by their number.

        Raises:
            OSError: they change faster than they can be read.
        """
        state: dict[Key, Row] = {}
        known: dict[_About, bytes] = {}
        keys: dict[tuple[str, _About], Key] = {}
        self._devices = set(tunnels)
        for family in (BRIDGING, ARP) if tunnels else ():
            for entry in self._host.neighbours.entries(family):
                device = tunnels.get(entry.device)
                if device is None:
                    continue
                about = entry.about
                # The same object as at the last look: who compares whole hosts does it by identity first.
                key = keys[device, about] = self._keys.get((device, about)) or _key(device, entry)
                known[about] = told = b"" if about in known else _told(entry)
                state[key] = _value(entry, told)
        self._known, self._keys = known, keys
        return state

    def change(self, put: Mapping[Key, Row], drop: Mapping[Key, Row]) -> None:
        """Drop and put entries.

        Raises:
            Refused: with the first fact that can't be.
        """
        numbers = self._numbers({str(key.row[0]) for key in (*put, *drop)})
        todo: list[tuple[Key, Row, Request]] = []
        for key, value in put.items():
            todo += [(key, value, request) for request in _putting(_entry(numbers, key, value), drop.get(key))]
        for key, value in drop.items():
            if key not in put and str(key.row[0]) in numbers:  # else it went with its device
                todo.append((key, value, Request(_entry(numbers, key), drop=True)))
        for _, _, request in todo:
            self._expect(request)
        for at, code in sorted(self._host.neighbours.change([request for _, _, request in todo]).items()):
            key, value, request = todo[at]
            if not request.drop or code not in _GONE:
                raise Refused(f"{fact_line(key, value)}: {os.strerror(code)}")

    @contextmanager
    def kept(self) -> Generator[None]:
        """Put back what tunnel devices took along that were made anew while this lasts."""
        links = {link.index: link.name for link in self._host.rtnl.links() if is_device(link.name, "mx")}
        before = self.read(links)
        yield
        anew = {name for number, name in links.items() if self._numbers({name}).get(name, number) != number}
        self.change(
            {
                key: value
                for key, value in before.items()
                if key.row[0] in anew and [type(part) for part in value] == [*key.table.value]
            },
            {},
        )

    def is_news(self, message: bytes) -> bool:
        """Say whether a notice of the kernel's tells of a change that we neither made nor know."""
        found = noticed(message)
        if found is None:
            return False
        entry, holds = found
        told, known = _told(entry), self._known.get(entry.about)
        if holds:
            return entry.device in self._devices and known != told
        # Of several that go one after another, each counts that may be the one we know.
        return known is not None and (not known or not told or known == told)

    def _numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those of some tunnel devices that there are."""
        found = [self._host.rtnl.link(name) for name in names if is_device(name, "mx")]
        return {link.name: link.index for link in found if link is not None and link.kind == "vxlan"}

    def _expect(self, request: Request) -> None:
        """Remember what will hold, before the kernel tells of it."""
        about = request.entry.about
        if not request.drop:
            self._devices.add(request.entry.device)
            self._known[about] = _told(request.entry)
        elif not request.entry.address or request.entry.family == ARP or self._known.get(about) == _told(request.entry):
            self._known.pop(about, None)


def _told(entry: Entry) -> bytes:
    """Return what an entry says of what it is about: nothing, if it says more than ours do."""
    if not entry.is_plain or len(entry.mac) != 6 or len(entry.address) != 4:
        return b""
    return entry.address if entry.family == BRIDGING else entry.mac


def _key(device: str, entry: Entry) -> Key:
    if entry.family == BRIDGING:
        return Key(FDB, HOST, (device, entry.mac.hex(":")))
    return Key(NEIGHBOUR, HOST, (device, IPv4Address(entry.address)))


def _value(entry: Entry, told: bytes) -> Row:
    if not told:
        return ("not the one plain entry",)
    return (IPv4Address(told),) if entry.family == BRIDGING else (told.hex(":"),)


def _entry(numbers: Mapping[str, int], key: Key, value: Row = ()) -> Entry:
    """Return the entry that a fact asks for or, without a value, all that its key is about.

    Raises:
        Refused: there is no such device, or the fact is none that a compiler makes.
    """
    match key.table.name, key.row, value:
        case FDB.name, (str() as device, str() as mac), (IPv4Address() as endpoint,) if is_mac(mac):
            family, hardware, address = BRIDGING, mac, endpoint.packed
        case FDB.name, (str() as device, str() as mac), () if is_mac(mac):
            family, hardware, address = BRIDGING, mac, b""
        case NEIGHBOUR.name, (str() as device, IPv4Address() as own), (str() as mac,) if is_mac(mac):
            family, hardware, address = ARP, mac, own.packed
        case NEIGHBOUR.name, (str() as device, IPv4Address() as own), ():
            family, hardware, address = ARP, "", own.packed
        case _:
            raise mistyped(key, value)
    if device not in numbers:
        raise Refused(f"{fact_line(key, value)}: no device {device}")
    return Entry(family, numbers[device], bytes.fromhex(hardware.replace(":", "")), address)


def _putting(entry: Entry, old: Row | None) -> Iterator[Request]:
    """Return what puts an entry in place of an old one."""
    is_odd = old is not None and entry.family == BRIDGING and not isinstance(old[0], IPv4Address)
    if is_odd:
        yield Request(replace(entry, address=b""), drop=True)
    if entry.family == ARP or entry.mac != _EVERYBODY:
        yield Request(entry)
        return
    # The kernel takes several goals for this one, and doesn't replace them: the new one comes first, for no broadcast to be lost.
    yield Request(entry, beside=True)
    if old is not None and isinstance(old[0], IPv4Address) and old[0].packed != entry.address:
        yield Request(replace(entry, address=old[0].packed), drop=True)
