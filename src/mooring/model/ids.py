"""Typed identifiers, one per noun, and the short form that fits into a kernel device name.

Identifiers are random UUIDs as 36 character text; only a host's follows from its name, so that the bus's server can be told who may
speak for a host before the host was ever seen.  A kernel device name holds at most 15 bytes (IFNAMSIZ of linux/if.h less the
closing zero), so devices are named by a two letter prefix and the first 11 hexadecimal digits of the UUID: 44 random bits.
"""

from typing import NewType
from uuid import UUID, uuid5

ProjectId = NewType("ProjectId", str)
UserId = NewType("UserId", str)
HostId = NewType("HostId", str)
UplinkId = NewType("UplinkId", str)
PoolId = NewType("PoolId", str)
RouterId = NewType("RouterId", str)
NetworkId = NewType("NetworkId", str)
InstanceId = NewType("InstanceId", str)
NicId = NewType("NicId", str)
AddressId = NewType("AddressId", str)
GroupId = NewType("GroupId", str)
RuleId = NewType("RuleId", str)
KeyId = NewType("KeyId", str)
PreferenceId = NewType("PreferenceId", str)
ForwardingId = NewType("ForwardingId", str)
SubnetPoolId = NewType("SubnetPoolId", str)

SHORT_DIGITS = 11
_HOSTS = UUID("3f0b1c5e-5d43-4c86-9d0e-6d6f6f72696e")  # made up once, and never to be changed


def is_uuid(text: str) -> bool:
    """Say whether `text` is a UUID in its canonical 36 character form."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def host_id(name: str) -> HostId:
    """Return the identifier of the host of a name."""
    return HostId(str(uuid5(_HOSTS, name)))


def short(identifier: str) -> str:
    """Return the part of an identifier that goes into kernel device names."""
    return identifier.replace("-", "")[:SHORT_DIGITS]


def bridge_name(network: NetworkId) -> str:
    """Return the name of a network's bridge on every host."""
    return "mb" + short(network)


def port_name(nic: NicId) -> str:
    """Return the name of the host's end of a NIC."""
    return "mp" + short(nic)


def guest_end_name(nic: NicId) -> str:
    """Return the name that the guest's end of a NIC has while it waits on the host for a guest driver."""
    return "mg" + short(nic)


def inner_name(network: NetworkId) -> str:
    """Return the name of a router's device towards one of its networks."""
    return "mi" + short(network)


def plug_name(network: NetworkId) -> str:
    """Return the name of the bridge port that leads to the network's router."""
    return "mh" + short(network)


def vlan_name(network: NetworkId) -> str:
    """Return the name of a network's tagged device on every host."""
    return "mv" + short(network)


def vxlan_name(network: NetworkId) -> str:
    """Return the name of a network's tunnel device on every host."""
    return "mx" + short(network)


def uplink_name(uplink: UplinkId) -> str:
    """Return the name of a router's device towards an uplink."""
    return "mu" + short(uplink)


def router_namespace(router: RouterId) -> str:
    """Return the name of the network namespace that is a router."""
    return f"mooring-r-{router}"


def guest_namespace(instance: InstanceId) -> str:
    """Return the name of the network namespace that is a guest of the netns driver."""
    return f"mooring-g-{instance}"
