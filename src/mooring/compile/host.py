"""facts_of: what one subject makes true on a host that plays one role for it."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from mooring.compile import carriers, dhcp, egress, filters, links, nat
from mooring.compile.facts import Fact, HostState, union
from mooring.model.subjects import (
    GroupIntent,
    HostRole,
    InstanceIntent,
    NetworkIntent,
    NicIntent,
    RouterIntent,
    Subject,
)


def facts_of(subject: Subject, role: HostRole) -> Iterator[Fact]:
    """Return the facts of a subject; a pure function of its arguments."""
    match subject:
        case NetworkIntent():
            # The role doesn't matter: guests and routers meet on the same bridge.  A host that is both holds the network once.
            yield from carriers.network(subject)
            yield from filters.network(subject)
        case RouterIntent():
            yield from links.router(subject)
            yield from nat.router(subject)
            yield from egress.router(subject)
            yield from dhcp.router(subject)
        case NicIntent():
            match role:
                case HostRole.COMPUTE:
                    yield from links.nic(subject)
                    yield from filters.nic(subject)
                case HostRole.GATEWAY:
                    yield from nat.nic(subject)
                    yield from egress.nic(subject)
                    yield from dhcp.nic(subject)
                case HostRole.PEER:
                    yield from carriers.peer(subject)
                case HostRole.MEMBER:
                    yield from filters.member(subject)
                case _:
                    assert_never(role)
        case GroupIntent():
            yield from filters.group(subject)
        case InstanceIntent():
            # A guest is started by the guest driver, after its NICs' facts hold; it adds nothing to the host's network.
            pass
        case _:
            assert_never(subject)


def compile_host(placed: Iterable[tuple[Subject, HostRole]]) -> HostState:
    """Return the whole desired state of a host.

    Raises:
        Contradiction: two subjects state facts in one place.
    """
    return union(fact for subject, role in placed for fact in facts_of(subject, role))
