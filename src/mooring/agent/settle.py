"""Settling: one ordered change for everything that is pending; where that is refused, part by part, so that a poison one stands alone."""

from collections import Counter

import structlog

from mooring.agent.interfaces import Backend, Refused
from mooring.agent.ledger import Ledger
from mooring.compile.facts import Delta, Key, Row

_log = structlog.get_logger(__name__)


def settle(ledger: Ledger, backend: Backend) -> set[Key]:
    """Make pending facts true; return the keys of those that were put.

    Parts that the back-end refuses end up in `ledger.refused` with its reason; everything else is applied all the same.
    """
    delta = ledger.delta(without=ledger.refused)
    if not delta:
        return set()
    try:
        backend.apply(delta)
    except Refused as refusal:
        _log.warning(
            "change refused; applying it part by part", reason=str(refusal), facts=len(delta.put) + len(delta.drop)
        )
        ledger.observe(backend.read())
        _apart(ledger, backend)
    else:
        ledger.applied(delta)
        tables = Counter(key.table.name for key in delta.put)
        _log.info("change applied", put=len(delta.put), dropped=len(delta.drop), tables=dict(sorted(tables.items())))
    return set(delta.put)


def _apart(ledger: Ledger, backend: Backend) -> None:
    _try(ledger, backend, ledger.strays())
    # What is to go first, in the opposite order: one part's new fact may need the place of another's old one.
    parts = [part for part in ledger.parts() if part not in ledger.refused]
    for part in reversed(parts):
        _try(ledger, backend, Delta({}, _only_gone(ledger.delta_of(part))))
    for part in parts:
        reason = _try(ledger, backend, ledger.delta_of(part))
        if reason is not None:
            ledger.refused[part] = reason


def _only_gone(delta: Delta) -> dict[Key, Row]:
    return {key: value for key, value in delta.drop.items() if key not in delta.put}


def _try(ledger: Ledger, backend: Backend, delta: Delta) -> str | None:
    if not delta:
        return None
    try:
        backend.apply(delta)
    except Refused as refusal:
        # How much of it was done is unknown: believe the kernel.
        ledger.observe(backend.read())
        return str(refusal)
    ledger.applied(delta)
    return None
