"""Stories by which people learn mooring and by which it is checked: each states what must hold, and checks it.

A demo runs inside a sandbox (see mooring.sandbox): a host, providers and outside machines are network namespaces of its own.
"""

from collections.abc import Sequence
from typing import Any

from mooring.demos import floating_ip, four_clients, late_allocation, port_filters, uplinks
from mooring.demos.story import Demo, tell

_GALLERY: tuple[Demo[Any], ...] = (
    floating_ip.DEMO,
    four_clients.DEMO,
    port_filters.DEMO,
    uplinks.DEMO,
    late_allocation.of(late_allocation.WHOLE),
)
_SHORT: tuple[Demo[Any], ...] = (late_allocation.of(late_allocation.SHORT),)


def listing() -> Sequence[tuple[str, str]]:
    """Return the name and summary of every demo."""
    return [(demo.name, demo.summary) for demo in _GALLERY]


def shortened() -> Sequence[str]:
    """Return the names of the demos that have a short version, too."""
    return [demo.name for demo in _SHORT]


def run(name: str, *, once: bool, short: bool = False) -> int:
    """Tell a story, or its short version, and return the exit code: 0 if everything held, 1 if not.

    Without `once` the service stays, with its URL and credentials printed, until Ctrl-C.

    Raises:
        KeyError: there is no such demo.
    """
    return tell({demo.name: demo for demo in (_SHORT if short else _GALLERY)}[name], once=once)
