"""Lists of which there may be very many: filters and pages that the database can serve are its own, and what it finds is taken in pieces.

What it cannot (an order, going backwards, other attributes) is done as for all other lists, with the same answer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from typing import TypeAlias, TypeVar

from mooring.dialects.http import Refused, shown
from mooring.dialects.neutron.lists import View, Window, chosen, collection, links, values
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.pieces import Pieces
from mooring.model.faults import NotFound
from mooring.model.ids import AddressId
from mooring.operations import FloatingChoice

T = TypeVar("T")
Walk: TypeAlias = Callable[[FloatingChoice], Iterator[Sequence[View]]]

_OTHERS = frozenset({"fields", "limit", "marker"})
_STATUS = {"ACTIVE": True, "DOWN": False}


def walked(call: Call, plural: str, walk: Walk) -> Answer:
    """Answer a list of floating IPs, which `walk` returns as views: what the query keeps of them."""
    wanted = values(call)
    window = Window.of(wanted)
    if wanted.keys() - _OTHERS - _FILTERS.keys():
        return collection(call, plural, [view for piece in walk(FloatingChoice()) for view in piece])
    choice = FloatingChoice()
    for name in _FILTERS.keys() & wanted.keys():
        choice = _FILTERS[name](choice, wanted[name])
    cut = replace(
        choice,
        after=None if window.marker is None else AddressId(window.marker),
        limit=window.limit + 1 if window.limit else None,
    )
    page = _Cut(walk, cut, window)

    def around() -> Mapping[str, object]:
        first = page.first if window.limit and page.first is not None and _any_before(walk, choice, window) else None
        return links(call, plural, first, page.last if page.more else None)

    return Answer(body=Pieces(plural, ([chosen(view, wanted) for view in piece] for piece in page.pieces()), around))


class _Cut:
    """A page while it is taken: its first and last view, and whether there is more after it."""

    def __init__(self, walk: Walk, choice: FloatingChoice, window: Window) -> None:
        self._walk = walk
        self._choice = choice
        self._window = window
        self.first: View | None = None
        self.last: View | None = None
        self.more = False

    def pieces(self) -> Iterator[Sequence[View]]:
        """Return the page, a piece at a time, less the one view that only tells whether there is more."""
        room = self._window.limit
        try:
            for found in self._walk(self._choice):
                piece = found
                if self._window.limit:
                    piece, room = found[:room], room - len(found)
                    self.more = room < 0
                if piece:
                    self.first = self.first or piece[0]
                    self.last = piece[-1]
                    yield piece
        except NotFound as error:
            raise Refused(400, f"marker {shown(self._window.marker or '')} could not be found.") from error


def _any_before(walk: Walk, choice: FloatingChoice, window: Window) -> bool:
    """Say whether anything that fits comes before the page: until its marker, and with it."""
    if window.marker is None:
        return False
    return any(walk(replace(choice, until=AddressId(window.marker), limit=1)))


# ---------------------------------------------------------------------------------------------------------------- filters


def _addresses(texts: Sequence[str]) -> tuple[IPv4Address, ...]:
    """Return those of some texts that are addresses: no address is any of the others."""
    found: list[IPv4Address] = []
    for text in texts:
        try:
            found.append(IPv4Address(text))
        except AddressValueError:
            continue
    return tuple(found)


def _both(known: tuple[T, ...] | None, wanted: Sequence[T]) -> tuple[T, ...]:
    """Return what two filters of one attribute keep."""
    return tuple(each for each in wanted if known is None or each in known)


def _status(choice: FloatingChoice, texts: Sequence[str]) -> FloatingChoice:
    asked = {_STATUS[text] for text in texts if text in _STATUS}
    if len(asked) == 1:
        return replace(choice, associated=asked.pop())
    return choice if asked else replace(choice, ids=())


def _project(choice: FloatingChoice, texts: Sequence[str]) -> FloatingChoice:
    return replace(choice, projects=_both(choice.projects, texts))


_FILTERS: Mapping[str, Callable[[FloatingChoice, Sequence[str]], FloatingChoice]] = {
    "id": lambda choice, texts: replace(choice, ids=_both(choice.ids, texts)),
    "floating_ip_address": lambda choice, texts: replace(choice, addresses=_addresses(texts)),
    "floating_network_id": lambda choice, texts: replace(choice, pools=tuple(texts)),
    "tenant_id": _project,
    "project_id": _project,
    "port_id": lambda choice, texts: replace(choice, nics=tuple(texts)),
    "fixed_ip_address": lambda choice, texts: replace(choice, fixed=_addresses(texts)),
    "status": _status,
}
