"""How nova shows a server: a closed set of keys, which clients' schemas hold us to."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address

from mooring.dialects.openstack.calls import Call, Microversion
from mooring.dialects.openstack.catalogue import links
from mooring.dialects.openstack.security_groups import group_names
from mooring.model.nouns import Instance, InstanceState, Nic, Power


@dataclass(frozen=True, slots=True)
class Status:
    """Nova's four words for one state: `status` for people, the others for programs."""

    status: str
    vm_state: str
    task_state: str | None
    power_state: int


_STATES: Mapping[InstanceState, Status] = {
    InstanceState.BUILDING: Status("BUILD", "building", "scheduling", 0),
    InstanceState.ERROR: Status("ERROR", "error", None, 0),
    InstanceState.DELETING: Status("ACTIVE", "active", "deleting", 0),
}
_POWERS: Mapping[Power, Status] = {
    Power.RUNNING: Status("ACTIVE", "active", None, 1),
    Power.STOPPING: Status("ACTIVE", "active", "powering-off", 1),
    Power.STOPPED: Status("SHUTOFF", "stopped", None, 4),
    Power.STARTING: Status("SHUTOFF", "stopped", "powering-on", 4),
    Power.REBOOTING: Status("REBOOT", "active", "rebooting", 1),
    Power.RESETTING: Status("HARD_REBOOT", "active", "rebooting_hard", 1),
}
_LOCKED_SINCE = Microversion(2, 9)
_DESCRIPTION_SINCE = Microversion(2, 19)
_TAGS_SINCE = Microversion(2, 26)


def status_of(instance: Instance) -> Status:
    """Return nova's words for an instance's state, and for its power where it has been launched."""
    return _STATES.get(instance.state, _POWERS[instance.power])


def server_name(call: Call, instance: Instance) -> dict[str, object]:
    """Return the short form of a server."""
    return {"id": instance.id, "name": instance.name, "links": links(call, "servers", instance.id)}


def server_created(call: Call, instance: Instance) -> dict[str, object]:
    """Return what POST /servers answers."""
    return {
        "id": instance.id,
        "links": links(call, "servers", instance.id),
        # Clients' schemas demand one. No guest driver sets it.
        "adminPass": secrets.token_urlsafe(9),
        "OS-DCF:diskConfig": "MANUAL",
        "security_groups": group_names(instance),
    }


def server_view(call: Call, instance: Instance) -> dict[str, object]:
    """Return the long form of a server."""
    status = status_of(instance)
    view: dict[str, object] = {
        **server_name(call, instance),
        "status": status.status,
        "tenant_id": instance.project,
        "user_id": instance.user,
        "image": {"id": instance.image, "links": links(call, "images", instance.image)[1:]},
        "flavor": {"id": instance.flavor, "links": links(call, "flavors", instance.flavor)[1:]},
        "created": moment(instance.created),
        "updated": moment(instance.updated),
        "progress": 100 if instance.state is InstanceState.ACTIVE else 0,
        "metadata": {},
        "addresses": _addresses(instance),
        "hostId": _host_id(instance),
        "accessIPv4": "",
        "accessIPv6": "",
        "key_name": None,
        "config_drive": "",
        "security_groups": group_names(instance),
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": "nova" if instance.host else "",
        "OS-EXT-STS:vm_state": status.vm_state,
        "OS-EXT-STS:task_state": _task(instance, status),
        "OS-EXT-STS:power_state": status.power_state,
        "OS-SRV-USG:launched_at": precise(instance.launched) if instance.launched is not None else None,
        "OS-SRV-USG:terminated_at": None,
        "os-extended-volumes:volumes_attached": [],
    }
    if instance.state is InstanceState.ERROR:
        view["fault"] = {"code": 500, "created": moment(instance.updated), "message": instance.fault or "Unknown"}
    if call.speaks >= _LOCKED_SINCE:
        view["locked"] = False
    if call.speaks >= _DESCRIPTION_SINCE:
        view["description"] = None
    if call.speaks >= _TAGS_SINCE:
        view["tags"] = []
    return view


def plain_addresses(instance: Instance) -> dict[str, list[dict[str, object]]]:
    """Return a server's addresses by network name, as /servers/{id}/ips shows them."""
    return {
        label: [{"version": address["version"], "addr": address["addr"]} for address in addresses]
        for label, addresses in _addresses(instance).items()
    }


def _addresses(instance: Instance) -> dict[str, list[dict[str, object]]]:
    """Return a server's addresses by network name: all fixed ones of a network, then all floating ones."""
    labels: dict[str, list[Nic]] = {}
    for nic in instance.nics:
        if nic.fixed:
            labels.setdefault(nic.network_name, []).append(nic)
    return {
        label: [_address(fixed.address, "fixed", nic.mac) for nic in nics for fixed in nic.fixed]
        + [_address(floating.address, "floating", nic.mac) for nic in nics for floating in nic.floating]
        for label, nics in labels.items()
    }


def _address(address: IPv4Address, kind: str, mac: str) -> dict[str, object]:
    return {
        "version": address.version,
        "addr": str(address),
        "OS-EXT-IPS:type": kind,
        "OS-EXT-IPS-MAC:mac_addr": mac,
    }


def _task(instance: Instance, status: Status) -> str | None:
    if instance.state is not InstanceState.BUILDING or instance.host is None:
        return status.task_state
    return "spawning" if all(nic.fixed for nic in instance.nics) else "networking"


def _host_id(instance: Instance) -> str:
    """Return a name for the host that says whether two servers of a project share one, and nothing else."""
    if instance.host is None:
        return ""
    return hashlib.sha224(f"{instance.project}{instance.host}".encode()).hexdigest()


def moment(when: datetime) -> str:
    """Write a moment as nova does."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise(when: datetime) -> str:
    """Write a moment as nova's extensions do."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
