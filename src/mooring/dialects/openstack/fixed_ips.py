"""Nova's os-fixed-ips, for administrators: who has an address of a guest network."""

from ipaddress import AddressValueError, IPv4Address

from mooring.dialects.openstack.calls import Answer, Call, Microversion

_RESERVED_SINCE = Microversion(2, 4)


def show_fixed_ip(call: Call) -> Answer:
    """GET /os-fixed-ips/{fixed}; what is no address is one that nobody has."""
    found = call.operations.networks.fixed_address(call.caller, _address(call.params["fixed"]))
    view: dict[str, object] = {
        "address": str(found.address),
        "cidr": str(found.network.cidr),
        "hostname": found.instance.name if found.instance is not None else None,
        "host": found.host.name if found.host is not None else None,
    }
    if call.speaks >= _RESERVED_SINCE:
        view["reserved"] = found.reserved
    return Answer(body={"fixed_ip": view})


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        # No network can have it.  Asked for all the same: who may not ask is told that, and nothing else.
        return IPv4Address(0)
