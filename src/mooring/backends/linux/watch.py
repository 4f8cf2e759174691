"""Notices that somebody else changed something: the kernel's own notices, from every namespace that is open, on one thread.

- links, addresses, routes, rules and settings by rtnetlink; of the host's links and neighbours only those that mean something to us
- transactions of nftables, unless one of our threads made them: the notice says which thread it was; on the host only of our tables
- names in /run/netns that go
- dnsmasq processes that end

A notice is a hint.  What was lost on the way (the kernel says that something was) is one too.
"""

import ctypes
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import structlog

from mooring.backends.linux import netns
from mooring.backends.linux.classic import ALL, GIVE_BACK, JUMP_EQUAL, LOAD_HALF, attach
from mooring.backends.linux.netns import Inside, check_namespace
from mooring.compile.facts import HOST, Place

_log = structlog.get_logger(__name__)

_QUIET = 0.05
"""Seconds from a first notice to the doubt that it causes: others mostly follow."""

# linux/netlink.h, linux/rtnetlink.h, linux/netfilter/nfnetlink.h, nf_tables.h, sys/inotify.h
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_NETLINK_NETFILTER = 12
_LINK, _NEIGHBOUR, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV4_RULE, _IPV4_SETTING = 1, 3, 5, 7, 8, 24
_NFTABLES = 7
_NEWGEN = (10 << 8) | 15
_PROCESS_NAME = 3
_TABLE, _OUR_FAMILIES = "mooring", frozenset({1, 7})  # inet and bridge
_NEWLINK, _DELLINK, _IFNAME, _MASTER = 16, 17, 3, 10
_IN_DELETE, _IN_MOVED_FROM = 0x200, 0x40

Doubt = Callable[[Place], None]


class Watch:
    """Tells of places that may have changed.

    `comm` is the name of our own threads.  `place_of_name` gives the place of a name in /run/netns, `places_of_link` those that a link of
    the host means something to, by its name and the number of its bridge.  `is_news` tells notices of neighbours that count.
    """

    def __init__(
        self,
        comm: str,
        doubt: Doubt,
        place_of_name: Callable[[str], Place | None],
        places_of_link: Callable[[str, int], Iterable[Place]],
        is_news: Callable[[bytes], bool],
    ) -> None:
        self._comm = comm
        self._doubt = doubt
        self._place_of_name = place_of_name
        self._places_of_link = places_of_link
        self._is_news = is_news
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Place, list[socket.socket]] = {}
        self._followed: dict[int, int] = {}
        self._due: dict[Place, float] = {}
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._names = _names_that_go()
        self._selector.register(self._bell, selectors.EVENT_READ, lambda: os.eventfd_read(self._bell))
        self._selector.register(self._names, selectors.EVENT_READ, self._name_went)
        self._lock = threading.Lock()
        self._at_work = 0
        self._touched = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def add(self, place: Place, inside: Inside) -> None:
        """Watch a namespace."""
        groups = (
            (_LINK, _NEIGHBOUR) if place == HOST else (_LINK, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV4_RULE, _IPV4_SETTING)
        )
        sockets = [
            _listening(inside, socket.NETLINK_ROUTE, groups),
            _listening(inside, _NETLINK_NETFILTER, (_NFTABLES,)),
        ]
        if place != HOST:
            _only(sockets[1], _NEWGEN)
        self._order(lambda: self._add(place, sockets))

    def remove(self, place: Place) -> None:
        """Let go of a namespace; wait until nothing of this keeps it alive."""
        done = threading.Event()
        self._order(lambda: self._remove(place))
        self._order(done.set)
        if threading.current_thread() is not self._thread:
            done.wait(1)

    def follow(self, place: Place, processes: Iterable[int]) -> None:
        """Doubt a place when one of these processes ends."""
        new = [id for id in processes if id not in self._followed]
        if new:
            self._order(lambda: self._follow(place, new))

    @contextmanager
    def busy(self) -> Generator[None]:
        """Keep doubts back as long as this lasts: most notices are of what we do ourselves, and one look at the end is enough."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
            self._order(self._put_off)

    def close(self) -> None:
        """Stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._orders.put(None)
            os.eventfd_write(self._bell, 1)
        self._thread.join()
        for place in tuple(self._sockets):
            self._remove(place)
        for handle in (*self._followed.values(), self._bell, self._names):
            os.close(handle)
        self._selector.close()

    def _order(self, work: Callable[[], None]) -> None:
        with self._lock:
            if not self._closed:
                self._orders.put(work)
                os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        while self._obey():
            wait = max(0.0, min(self._due.values()) - time.monotonic()) if self._due and not self._at_work else None
            for key, _ in self._selector.select(wait):
                key.data()
            now = time.monotonic()
            for place in [place for place, due in self._due.items() if due <= now and not self._at_work]:
                del self._due[place]
                self._tell(place)

    def _put_off(self) -> None:
        self._due = dict.fromkeys(self._due, time.monotonic() + _QUIET)

    def _obey(self) -> bool:
        while True:
            try:
                order = self._orders.get_nowait()
            except Empty:
                return True
            if order is None:
                return False
            order()

    def _tell(self, place: Place) -> None:
        try:
            self._doubt(place)
        except Exception:  # noqa: BLE001 - whoever listens, we go on
            _log.exception("a doubt was not taken", place=str(place))

    def _notice(self, place: Place) -> None:
        self._due.setdefault(place, time.monotonic() + _QUIET)

    def _add(self, place: Place, sockets: list[socket.socket]) -> None:
        self._remove(place)
        self._sockets[place] = sockets
        for each in sockets:
            self._selector.register(each, selectors.EVENT_READ, lambda each=each: self._hear(place, each))

    def _remove(self, place: Place) -> None:
        for each in self._sockets.pop(place, ()):
            self._selector.unregister(each)
            each.close()

    def _hear(self, place: Place, channel: socket.socket) -> None:
        try:
            message = channel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: notices were lost
            self._notice(place)
            return
        if channel.proto == _NETLINK_NETFILTER and place == HOST:
            self._hear_rules(message)
        elif channel.proto == _NETLINK_NETFILTER:
            if _text(_attribute(message, 20, _PROCESS_NAME)) != self._comm:
                self._notice(place)
        elif place != HOST:
            self._notice(place)
        else:
            self._hear_host(message)

    def _hear_rules(self, buffer: bytes) -> None:
        """Hear of a transaction on the host, where others have rules too: each change says in which table it was, and the end whose it was."""
        at = 0
        while at + 20 <= len(buffer):
            length, kind = struct.unpack_from("=IH", buffer, at)
            message = buffer[at : at + length]
            at += max(20, (length + 3) & ~3)
            if kind != _NEWGEN:
                self._touched = self._touched or (
                    message[16] in _OUR_FAMILIES and _text(_attribute(message, 20, 1)) == _TABLE
                )
                continue
            if self._touched and _text(_attribute(message, 20, _PROCESS_NAME)) != self._comm:
                self._notice(HOST)
            self._touched = False

    def _hear_host(self, message: bytes) -> None:
        if struct.unpack_from("=H", message, 4)[0] not in {_NEWLINK, _DELLINK}:
            if self._is_news(message):
                self._notice(HOST)
            return
        name, master = _attribute(message, 32, _IFNAME), _attribute(message, 32, _MASTER)
        number = struct.unpack("=I", master)[0] if master is not None else 0
        for place in self._places_of_link(_text(name), number):
            self._notice(place)

    def _name_went(self) -> None:
        buffer = os.read(self._names, 1 << 16)
        at = 0
        while at + 16 <= len(buffer):
            length = struct.unpack_from("=iIII", buffer, at)[3]
            name = os.fsdecode(buffer[at + 16 : at + 16 + length].rstrip(b"\0"))
            at += 16 + length
            if (place := self._place_of_name(name)) is not None:
                self._notice(place)

    def _follow(self, place: Place, processes: list[int]) -> None:
        for id in processes:
            if id in self._followed:
                continue
            try:
                handle = os.pidfd_open(id)
            except OSError:
                self._notice(place)
                continue
            self._followed[id] = handle
            self._selector.register(handle, selectors.EVENT_READ, lambda id=id: self._ended(place, id))

    def _ended(self, place: Place, id: int) -> None:
        handle = self._followed.pop(id)
        self._selector.unregister(handle)
        os.close(handle)
        self._notice(place)


def _listening(inside: Inside, family: int, groups: Iterable[int]) -> socket.socket:
    channel = inside.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family))
    check_namespace(channel.fileno(), inside.inode)
    channel.settimeout(0)
    channel.bind((0, 0))
    for group in groups:
        channel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    return channel


def _only(channel: socket.socket, kind: int) -> None:
    """Let the kernel throw away all messages but those of one type: a transaction of 600,000 elements has a message for each."""
    program = (
        (LOAD_HALF, 0, 0, 4),  # the type, which the filter reads as if it were big-endian
        (JUMP_EQUAL, 0, 1, socket.htons(kind)),
        (GIVE_BACK, 0, 0, ALL),
        (GIVE_BACK, 0, 0, 0),
    )
    attach(channel, program)


def _attribute(message: bytes, at: int, wanted: int) -> bytes | None:
    """Return an attribute of a message."""
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind & 0x3FFF == wanted:
            return message[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
    return None


def _text(attribute: bytes | None) -> str:
    return (attribute or b"").rstrip(b"\0").decode(errors="replace")


def _names_that_go() -> int:
    netns.prepare()
    libc = ctypes.CDLL(None, use_errno=True)
    handle = int(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    if handle < 0 or libc.inotify_add_watch(handle, bytes(netns.NETNS), _IN_DELETE | _IN_MOVED_FROM) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "inotify")
    return handle
