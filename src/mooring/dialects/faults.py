"""How a fault is told by a table: the first line that fits its class, the route, the noun and the field, and the sentence that this makes."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from mooring.model.faults import Fault, InUse, NotFound, TooManyAttempts, Unavailable


class Line(Protocol):
    """A line of a dialect's table: which fault, on which route and of which noun or field (None is any)."""

    @property
    def fault(self) -> type[Fault]:
        """The class of fault; one that inherits from it fits, too."""
        ...

    @property
    def route(self) -> str | None:
        """The name of the route."""
        ...

    @property
    def noun(self) -> str | None:
        """Of what there is none, or what is in use."""
        ...

    @property
    def field(self) -> str | None:
        """The field that is wrong."""
        ...


AnyLine = TypeVar("AnyLine", bound=Line)


def line_for(table: Iterable[AnyLine], fault: Fault, route: str) -> AnyLine:
    """Return the first line that fits a fault on a route.

    Raises:
        LookupError: none does.
    """
    noun = fault.noun if isinstance(fault, NotFound | InUse) else None
    for line in table:
        if not isinstance(fault, line.fault):
            continue
        if line.route in (None, route) and line.noun in (None, noun) and line.field in (None, fault.field):
            return line
    raise LookupError(f"{type(fault).__name__} is not in the table of faults") from fault


def sentence(message: str, fault: Fault, words: Mapping[str, str]) -> str:
    """Put into a message's places the words of the call, and the fault's own `reason` and `name`."""
    named = {**words, "reason": fault.reason}
    if isinstance(fault, NotFound):
        named["name"] = fault.name
    return message.format_map(named)


def retry_after(fault: Fault) -> dict[str, str]:
    """Return the header that says when a later try may succeed, of a fault that a later try may cure."""
    return {"Retry-After": str(fault.retry_after)} if isinstance(fault, Unavailable | TooManyAttempts) else {}
