"""The statements about hosts, and hosts from their rows."""

from datetime import datetime
from ipaddress import IPv4Address

from sqlalchemy import Row, bindparam, select, update

from mooring.model.ids import HostId
from mooring.model.nouns import Host
from mooring.store.schema import hosts

HOSTS = select(
    hosts.c.id,
    hosts.c.name,
    hosts.c.compute,
    hosts.c.gateway,
    hosts.c.cluster,
    hosts.c.endpoint,
    hosts.c.vlan_interface,
    hosts.c.trunk_interface,
    hosts.c.machine,
    hosts.c.last_seen,
).order_by(hosts.c.seq)
SAVE_HOST = (
    update(hosts)
    .where(hosts.c.id == bindparam("host"))
    .values(
        compute=bindparam("new_compute"),
        gateway=bindparam("new_gateway"),
        cluster=bindparam("new_cluster"),
        endpoint=bindparam("new_endpoint"),
        vlan_interface=bindparam("new_vlan_interface"),
        trunk_interface=bindparam("new_trunk_interface"),
        machine=bindparam("new_machine"),
        last_seen=bindparam("new_last_seen", type_=hosts.c.last_seen.type),
    )
)
HEARD_OF = (
    update(hosts)
    .where(hosts.c.id.in_(bindparam("hosts", expanding=True)))
    .values(last_seen=bindparam("new_last_seen", type_=hosts.c.last_seen.type))
)
HOST = HOSTS.where(hosts.c.id == bindparam("host"))
SOME_HOSTS = HOSTS.where(hosts.c.id.in_(bindparam("hosts", expanding=True)))
HOST_BY_NAME = HOSTS.where(hosts.c.name == bindparam("name"))

HostFields = Row[HostId, str, bool, bool, str, str | None, str | None, str | None, str, datetime | None]


def values(host: Host) -> dict[str, object]:
    """Return what is stored of a host, less its id and name."""
    return {
        "compute": host.compute,
        "gateway": host.gateway,
        "cluster": host.cluster,
        "endpoint": str(host.endpoint) if host.endpoint else None,
        "vlan_interface": host.vlan_interface,
        "trunk_interface": host.trunk_interface,
        "machine": host.machine,
        "last_seen": host.last_seen,
    }


def host_of(row: HostFields) -> Host:
    host, name, compute, gateway, cluster, endpoint, vlan_interface, trunk_interface, machine, last_seen = row
    return Host(
        id=host,
        name=name,
        compute=compute,
        gateway=gateway,
        cluster=cluster,
        endpoint=IPv4Address(endpoint) if endpoint else None,
        vlan_interface=vlan_interface,
        trunk_interface=trunk_interface,
        machine=machine,
        last_seen=last_seen,
    )
