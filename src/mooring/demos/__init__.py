"""Stories by which people learn mooring and by which it is checked: each states what must hold, and checks it.

A demo runs inside a sandbox (see mooring.sandbox): a host, providers and outside machines are network namespaces of its own.
"""

from collections.abc import Sequence

from mooring.demos import floating_ip
from mooring.demos.story import Demo, tell

_GALLERY: tuple[Demo, ...] = (floating_ip.DEMO,)


def listing() -> Sequence[tuple[str, str]]:
    """Return the name and summary of every demo."""
    return [(demo.name, demo.summary) for demo in _GALLERY]


def run(name: str, *, once: bool) -> int:
    """Tell a story and return the exit code: 0 if everything held, 1 if not.

    Without `once` the service stays, with its URL and credentials printed, until Ctrl-C.

    Raises:
        KeyError: there is no such demo.
    """
    return tell({demo.name: demo for demo in _GALLERY}[name], once=once)
