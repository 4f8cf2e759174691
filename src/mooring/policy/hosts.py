"""Which host: for a guest the emptiest one, for a router the gateway with the fewest."""

from collections.abc import Mapping, Sequence

from mooring.model.ids import HostId
from mooring.model.nouns import Host


def rank_compute(hosts: Sequence[Host], guests: Mapping[HostId, int]) -> tuple[Host, ...]:
    """Return the hosts that can run a guest, best first; equal hosts in the order of their names."""
    able = (host for host in hosts if host.compute)
    return tuple(sorted(able, key=lambda host: (guests.get(host.id, 0), host.name)))


def rank_gateway(hosts: Sequence[Host], routers: Mapping[HostId, int]) -> tuple[Host, ...]:
    """Return the hosts that can run a router, best first; equal hosts in the order of their names."""
    able = (host for host in hosts if host.gateway)
    return tuple(sorted(able, key=lambda host: (routers.get(host.id, 0), host.name)))
