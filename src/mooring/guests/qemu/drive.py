"""The config drive: what a guest is told of itself, in OpenStack's layout, which cloud-init and others read.

How does a guest know it?  By the volume's label, config-2.
"""

import json
from typing import Any

from mooring.guests.qemu import iso9660
from mooring.model.ids import port_name
from mooring.model.subjects import GuestNic, InstanceIntent

LABEL = "config-2"

_EVERYWHERE = {"network": "0.0.0.0", "netmask": "0.0.0.0"}  # noqa: S104 - the default route, not a socket


def config_drive(guest: InstanceIntent) -> bytes:
    """Return a guest's config drive; a pure function of what it is."""
    texts = {"meta_data": meta_data(guest), "network_data": network_data(guest)}
    files = {
        f"openstack/latest/{name}.json": json.dumps(content, ensure_ascii=False).encode()
        for name, content in texts.items()
    }
    return iso9660.volume(LABEL, files)


def meta_data(guest: InstanceIntent) -> dict[str, Any]:
    """Return who a guest is; its host name only where no DHCP server tells it."""
    # Printable: it ends up on the terminals of those who ask the guest.
    name = "".join(letter for letter in guest.name if letter.isprintable())
    names = [nic.injected.hostname for nic in guest.nics if nic.injected and nic.injected.hostname]
    told = {"hostname": names[0]} if names else {}
    return {"uuid": guest.id, "name": name, **told}


def network_data(guest: InstanceIntent) -> dict[str, Any]:
    """Return what a guest's NICs are to have: the addresses that are injected, and that the others ask by DHCP."""
    dns = dict.fromkeys(str(server) for nic in guest.nics if nic.injected for server in nic.injected.dns)
    return {
        "links": [
            {
                "id": port_name(nic.id),
                "vif_id": nic.id,
                "type": "phy",
                "ethernet_mac_address": nic.mac,
                "mtu": nic.mtu,
            }
            for nic in guest.nics
        ],
        "networks": [_network(number, nic) for number, nic in enumerate(guest.nics)],
        "services": [{"type": "dns", "address": address} for address in dns],
    }


def _network(number: int, nic: GuestNic) -> dict[str, Any]:
    common = {"id": f"network{number}", "link": port_name(nic.id), "network_id": nic.network}
    if nic.injected is None:
        return {**common, "type": "ipv4_dhcp"}
    given = nic.injected
    routes = [{**_EVERYWHERE, "gateway": str(given.gateway)}] if given.gateway else []
    return {
        **common,
        "type": "ipv4",
        "ip_address": str(given.address.ip),
        "netmask": str(given.address.netmask),
        "routes": routes,
        "services": [{"type": "dns", "address": str(server)} for server in given.dns],
    }
