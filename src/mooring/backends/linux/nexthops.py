"""Watches the next hops of uplinks: asks each of them by ARP, once a second, whether it is there.

A wire may have a carrier and nobody at its other end.  However many routers of this host are on an uplink, one of them asks.  What is found is
told for each router where it isn't so yet; what was found before this process, the kernel tells.

ARP says that the next hop is there, not that it leads anywhere: it is asked because every next hop answers it, with nothing to be agreed on.
"""

import fcntl
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

import structlog

from mooring.backends.linux.announce import request
from mooring.backends.linux.classic import ALL, GIVE_BACK, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, attach
from mooring.compile.facts import Key, Place, Row
from mooring.compile.tables import PROBED

EVERY = 1.0
"""Seconds from question to question."""

RETURN = 2
"""It takes so many times as many answers in a row to be there again as misses to be away."""

_log = structlog.get_logger(__name__)

_ARP, _ARP_REPLY = 0x0806, 2
# linux/sockios.h, linux/if.h
_FLAGS, _OWN_ADDRESS, _HARDWARE_ADDRESS, _IFF_RUNNING = 0x8913, 0x8915, 0x8927, 0x40
_OPERATION_AT, _SENDER_AT = 20, 28
_REQUEST = struct.Struct("16s24x")

Target = tuple[str, IPv4Address]
"""An uplink device, which has the same name in all routers, and its next hop."""


class Tell(Protocol):
    """Makes it so, in a router, that nothing is routed by an uplink device, or that something is again."""

    def __call__(self, place: Place, device: str, *, is_away: bool) -> None: ...


class Question:
    """A socket in a router that asks a next hop and hears its answers.

    Raises:
        OSError: there is no such device.
    """

    def __init__(self, target: Target) -> None:
        self._device, self._hop = target
        # Protocol 0: it hears nothing before it has its filter and its device.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            attach(
                self._socket,
                (
                    (LOAD_HALF, 0, 0, _OPERATION_AT),
                    (JUMP_EQUAL, 0, 3, _ARP_REPLY),
                    (LOAD_WORD, 0, 0, _SENDER_AT),
                    (JUMP_EQUAL, 0, 1, int(self._hop)),
                    (GIVE_BACK, 0, 0, ALL),
                    (GIVE_BACK, 0, 0, 0),
                ),
            )
            self._socket.bind((self._device, _ARP))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def ask(self) -> bool:
        """Ask; return False if the wire has no carrier, so that nobody could hear it.

        Raises:
            OSError: the device is gone or down.
        """
        (flags,) = struct.unpack_from("=H", self._about(_FLAGS), 16)
        if not flags & _IFF_RUNNING:
            return False
        mac, own = self._about(_HARDWARE_ADDRESS)[18:24], IPv4Address(self._about(_OWN_ADDRESS)[20:24])
        self._socket.send(request(mac, own, self._hop))
        return True

    def is_answered(self) -> bool:
        """Say whether an answer has come since this was asked last.

        Raises:
            OSError: the device is gone or down.
        """
        found = False
        while True:
            try:
                found = bool(self._socket.recv(64)) or found
            except BlockingIOError:
                return found

    def _about(self, what: int) -> bytes:
        return fcntl.ioctl(self._socket, what, _REQUEST.pack(self._device.encode()))


@dataclass(slots=True)
class _Watched:
    """A next hop, by what it has answered; `places` are the routers that are on its uplink, each with whether it is told that it is away."""

    misses: int
    places: dict[Place, bool] = field(default_factory=dict[Place, bool])
    is_away: bool = False
    run: int = 0
    """How many answers in a row say otherwise than `is_away`."""

    is_asked: bool = False
    question: Question | None = None
    asker: Place | None = None

    def note(self, *, answered: bool) -> bool:
        """Count an answer, or that there was none; return whether it is now otherwise than it was."""
        self.run = self.run + 1 if answered is self.is_away else 0
        if self.run < (RETURN * self.misses if self.is_away else self.misses):
            return False
        self.is_away, self.run = not self.is_away, 0
        return True

    def close(self) -> None:
        if self.question is not None:
            self.question.close()
        self.question, self.asker, self.is_asked = None, None, False


class NextHops:
    """The next hops of a host's uplinks.

    `ask` opens a question in a router.  It and `tell` are called from a thread of this, without a lock of this.

    Raises:
        OSError: from either, the router or the device is gone.
    """

    def __init__(self, tell: Tell, ask: Callable[[Place, Target], Question]) -> None:
        self._tell, self._ask = tell, ask
        self._lock = threading.Lock()
        self._watched: dict[Target, _Watched] = {}
        self._read: dict[Place, Mapping[Key, Row]] = {}
        self._unwatched: set[tuple[Place, str]] = set()
        self._is_watching = False
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        with self._lock:
            self._is_watching = True
            self._run_if_any()

    def close(self) -> None:
        """Ask no more, and leave all as it is."""
        with self._lock:
            self._is_watching = False
            thread = self._thread
        self._end.set()
        if thread is not None:
            thread.join()
        with self._lock:
            for watched in self._watched.values():
                watched.close()

    def know(self, place: Place, elements: Mapping[Key, Row], away: AbstractSet[str]) -> None:
        """Learn from all elements that a router has which next hops are to be watched; `away` are the devices where nothing is routed."""
        with self._lock:
            if elements is not self._read.get(place):
                # Of hundreds of thousands few are meant, and mostly they are the very ones of before.
                self._read[place] = elements
                wanted = {_target(key): _misses(value) for key, value in elements.items() if key.table is PROBED}
                for target in [it for it, known in self._watched.items() if place in known.places and it not in wanted]:
                    self._forget(target, place)
                for target, misses in wanted.items():
                    self._want(target, place, misses, is_away=target[0] in away)
            for (device, _), known in self._watched.items():
                if place in known.places:
                    known.places[place] = device in away
            self._unwatched |= {(place, device) for device in away if not self._is_watched(place, device)}
            self._run_if_any()

    def forget(self, place: Place) -> None:
        """A router is gone."""
        with self._lock:
            self._read.pop(place, None)
            for target in [target for target, known in self._watched.items() if place in known.places]:
                self._forget(target, place)
            self._unwatched = {each for each in self._unwatched if each[0] != place}

    def change(self, place: Place, put: Mapping[Key, Row], drop: Iterable[Key]) -> None:
        """Learn from a change of a router's elements."""
        with self._lock:
            for key in drop:
                if key.table is PROBED and key not in put:
                    self._forget(_target(key), place)
            for key, value in put.items():
                if key.table is PROBED:
                    self._want(_target(key), place, _misses(value), is_away=False)
            self._run_if_any()

    def _want(self, target: Target, place: Place, misses: int, *, is_away: bool) -> None:
        known = self._watched.get(target)
        if known is None:
            # What the kernel holds was found out by an agent before.
            known = self._watched[target] = _Watched(misses, is_away=is_away)
        known.misses = misses
        # One that had another next hop here until now may have been told that it is away.
        known.places.setdefault(place, is_away or (place, target[0]) in self._unwatched)

    def _forget(self, target: Target, place: Place) -> None:
        known = self._watched.get(target)
        if known is None:
            return
        known.places.pop(place, None)
        if known.is_away:
            self._unwatched.add((place, target[0]))
        if known.asker == place or not known.places:
            known.close()
        if not known.places:
            del self._watched[target]

    def _run_if_any(self) -> None:
        if self._is_watching and (self._watched or self._unwatched) and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="next-hops", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            self._let_go()
            with self._lock:
                targets = list(self._watched)
            for target in targets:
                try:
                    self._turn(target)
                except Exception:  # noqa: BLE001 - the other next hops have nothing to do with this one
                    _log.exception("a next hop was not asked", next_hop=str(target[1]), device=target[0])

    def _let_go(self) -> None:
        """Whoever is watched no longer counts as there."""
        with self._lock:
            unwatched = [each for each in self._unwatched if not self._is_watched(*each)]
            self._unwatched.clear()
        for place, device in unwatched:
            with suppress(OSError):  # the next look at that router tells of it again
                self._tell(place, device, is_away=False)

    def _is_watched(self, place: Place, device: str) -> bool:
        return any(target[0] == device and place in known.places for target, known in self._watched.items())

    def _turn(self, target: Target) -> None:
        """Hear what a next hop has answered, ask it again, and tell where it isn't known yet what comes of it."""
        with self._lock:
            known = self._watched.get(target)
            if known is None:
                return
            try:
                if known.question is not None and known.is_asked and known.note(answered=known.question.is_answered()):
                    _log.warning(
                        "next hop is away" if known.is_away else "next hop is back",
                        next_hop=str(target[1]),
                        device=target[0],
                    )
                known.is_asked = known.question is not None and known.question.ask()
            except OSError:
                known.close()
            places, asker = sorted(known.places), known.question is None
            untold = [place for place in places if known.places[place] is not known.is_away]
            is_away = known.is_away
        for place in untold:
            self._say(target, place, is_away=is_away)
        if asker:
            self._open(target, places)

    def _say(self, target: Target, place: Place, *, is_away: bool) -> None:
        try:
            self._tell(place, target[0], is_away=is_away)
        except OSError as error:
            _log.info("a router is not told of its next hop", place=str(place), reason=str(error))
            return
        with self._lock:
            known = self._watched.get(target)
            if known is not None and place in known.places:
                known.places[place] = is_away

    def _open(self, target: Target, places: Iterable[Place]) -> None:
        for place in places:
            try:
                question = self._ask(place, target)
            except OSError:
                continue
            with self._lock:
                known = self._watched.get(target)
                if known is not None and place in known.places and known.question is None and self._is_watching:
                    known.question, known.asker = question, place
                    return
            question.close()
            return


def _misses(value: Row) -> int:
    (number,) = value
    return int(str(number))


def _target(key: Key) -> Target:
    device, hop = key.row
    return str(device), IPv4Address(str(hop))
