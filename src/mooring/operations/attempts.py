"""How often somebody may be wrong about a password.

Two buckets fill with wrong passwords and empty with time: one for the place that a log-in comes from, one for the account.  While one is
full, log-ins are refused unread.  So that strangers can't lock anybody out, who has logged in from a place before has a bucket of their
own there: what strangers do from elsewhere fills another one.  A right password takes back what it put in.

Each process counts for itself, in memory.  A bucket that nobody touched for a window is empty, and then the same as none: the oldest may
be forgotten, and as checking passwords is slow on purpose, no window sees as many attempts as there is place for.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

from mooring.model.faults import TooManyAttempts, Unauthenticated

_WINDOW = 60.0
_PLACES = 20_000
_NETWORK = 64

V = TypeVar("V")
_Key = tuple[str, ...]


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Attempts:
    """Counts wrong passwords by account and by source; 0 counts none."""

    def __init__(self, per_account: int, per_source: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow so many a minute, and so many at once."""
        self._per_account = per_account
        self._per_source = per_source
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[_Key, _Bucket] = OrderedDict()
        self._familiar: OrderedDict[_Key, None] = OrderedDict()

    @contextmanager
    def attempt(self, account: str, source: str | None) -> Generator[None]:
        """Let one log-in be tried; it fails by raising Unauthenticated.

        Raises:
            TooManyAttempts: it may not be tried now.
        """
        place = _place(source)
        with self._lock:
            taken = self._take(account, place)
        failed = False
        try:
            yield
        except Unauthenticated:
            failed = True
            raise
        finally:
            if not failed:
                with self._lock:
                    self._give(taken)
        with self._lock:
            _remember(self._familiar, (account, place), None)

    def _take(self, account: str, place: str) -> list[_Key]:
        own = (account, place) in self._familiar
        asked: list[tuple[_Key, int]] = []
        if self._per_source:
            asked.append((("source", place), self._per_source))
        if self._per_account:
            asked.append((("account", account, place) if own else ("account", account), self._per_account))
        now = self._clock()
        # All are asked before one is changed: who is refused fills nothing.
        levels = {key: self._level(key, most, now) for key, most in asked}
        waits = [(levels[key] + 1 - most) * _WINDOW / most for key, most in asked if levels[key] + 1 > most]
        if waits:
            raise TooManyAttempts(max(1, math.ceil(max(waits))))
        for key, level in levels.items():
            _remember(self._buckets, key, _Bucket(level + 1, now))
        return list(levels)

    def _level(self, key: _Key, most: int, now: float) -> float:
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None else max(0.0, bucket.level - (now - bucket.at) * most / _WINDOW)

    def _give(self, keys: list[_Key]) -> None:
        for key in keys:
            if (bucket := self._buckets.get(key)) is not None:
                bucket.level = max(0.0, bucket.level - 1)


def _remember(kept: OrderedDict[_Key, V], key: _Key, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _PLACES:
        kept.popitem(last=False)


def _place(source: str | None) -> str:
    """Return what counts as one source: an IPv4 address, or the network of an IPv6 one, in which everybody has 2^64 addresses."""
    try:
        address = ip_address((source or "").partition("%")[0])
    except ValueError:
        return source or ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> _NETWORK << _NETWORK)}/{_NETWORK}"
    return str(address)
