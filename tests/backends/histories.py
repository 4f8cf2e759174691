"""What every back-end is put through: states one after the other, each made true as by an agent that knows nothing."""

from collections.abc import Iterable

from hypothesis import HealthCheck, settings

from mooring.agent.interfaces import Backend
from mooring.compile.facts import Delta, HostState, diff, lines

# Each example starts with dropping everything, so one host may serve for all.
same_host = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def settle(backend: Backend, state: HostState) -> Delta:
    """Make a state true, as an agent does that knows nothing; return what that took."""
    delta = diff(backend.read(), state)
    backend.apply(delta)
    return delta


def check(backend: Backend, state: HostState) -> None:
    """State that a host is as it should be."""
    assert list(lines(backend.read())) == list(lines(state))


def history(backend: Backend, steps: Iterable[HostState]) -> None:
    """Go from nothing through several states."""
    settle(backend, {})
    for state in steps:
        settle(backend, state)
        check(backend, state)
