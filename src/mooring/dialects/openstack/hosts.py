"""Nova's os-services and os-hosts, for administrators: a host that runs guests or is a gateway is a service each."""

from collections.abc import Iterator

from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.server_views import precise
from mooring.dialects.openstack.zones import ZONE
from mooring.model.nouns import Host

# Where nova puts what isn't for guests.
_INTERNAL = "internal"


def list_services(call: Call) -> Answer:
    """GET /os-services, with `host` and `binary`; ids are places in the list of all."""
    query = call.query
    services = [
        {
            "id": number,
            "binary": f"nova-{service}",
            "host": host.name,
            "zone": zone,
            "status": "enabled",
            "state": "up" if alive else "down",
            "updated_at": precise(host.last_seen) if host.last_seen is not None else None,
            "disabled_reason": None,
        }
        for number, (host, service, zone, alive) in enumerate(_services(call), 1)
    ]
    for name in ("host", "binary"):
        services = [service for service in services if query.get(name) in {None, service[name]}]
    return Answer(body={"services": services})


def list_hosts(call: Call) -> Answer:
    """GET /os-hosts."""
    hosts = [{"host_name": host.name, "service": service, "zone": zone} for host, service, zone, _ in _services(call)]
    return Answer(body={"hosts": hosts})


def _services(call: Call) -> Iterator[tuple[Host, str, str, bool]]:
    for host, alive in call.operations.hosts.roll(call.caller):
        if host.compute:
            yield host, "compute", ZONE, alive
        if host.gateway:
            yield host, "network", _INTERNAL, alive
