"""What follows a transaction: neighbours hear of it, flows that it ended are forgotten; at once, and again a little later."""

import threading

import structlog

from mooring.backends.linux import effects
from mooring.backends.linux.announce import Announcer
from mooring.backends.linux.conntrack import Conntrack
from mooring.backends.linux.effects import Cut
from mooring.backends.linux.later import Later
from mooring.backends.linux.space import Space
from mooring.compile.facts import Delta, Place

_log = structlog.get_logger(__name__)

_REPEATS = (0.2, 1.0)
"""Seconds after which an announcement is repeated: neighbours may miss one, and some are deaf for a second after a change."""

_AT_ONCE = 256
"""A router that starts with thousands of addresses doesn't keep its guests waiting until all are announced."""

_LOOK_AGAIN = 0.2


class Aftermath:
    """Announces addresses and ends flows."""

    def __init__(self) -> None:
        self._later = Later()
        self._lock = threading.Lock()
        self._ended: dict[Place, set[Cut]] = {}

    def of(self, space: Space, delta: Delta) -> None:
        """Do what follows from a change of one place's elements.

        Raises:
            OSError: flows could not be ended.
        """
        self._announce(space, delta)
        self._cut(space, delta)

    def close(self) -> None:
        """Do nothing more."""
        self._later.close()

    def _announce(self, space: Space, delta: Delta) -> None:
        for gone in effects.withdrawn(delta):
            self._later.call_off(gone)
        announcer: Announcer | None = None
        for count, it in enumerate(effects.announced(delta)):
            announcer = announcer or space.announcer
            say = announcer.saying(it.device, it.address)
            if count < _AT_ONCE:
                say()
            self._later.do(it, _REPEATS if count < _AT_ONCE else (0.0, *_REPEATS), say)

    def _cut(self, space: Space, delta: Delta) -> None:
        place = space.place
        with self._lock:
            ended = effects.outlast(self._ended.get(place, ()), delta)
            self._ended[place] = ended
            cuts, is_waiting = effects.cuts(delta), bool(ended)
            ended.update(cuts)
        renewals = effects.renewals(delta)
        if not cuts and not renewals:
            return
        conntrack = space.conntrack
        conntrack.end((*cuts, *renewals))
        # Flows that began anew meanwhile look like those that were ended: for them there is no second look.
        if cuts and not is_waiting:
            self._later.do(("flows", place), (_LOOK_AGAIN,), lambda: self._make_sure(place, conntrack))

    def _make_sure(self, place: Place, conntrack: Conntrack) -> None:
        # A packet that was on its way through the rules may have left an entry behind the first look.  Flows of a pair that is back by
        # now are its own.
        with self._lock:
            cuts = self._ended.pop(place, set())
        try:
            left = conntrack.make_sure(cuts)
        except OSError as error:  # the namespace went, and its flows with it
            _log.info("flows not looked at again", place=str(place), reason=str(error))
        else:
            if left:
                _log.warning("flows that should have ended are still there", place=str(place), kinds=left)
