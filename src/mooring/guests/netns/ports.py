"""Plugging: the guest's end of a port goes from the host's namespace into a guest and becomes its ethN, and back."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from pyroute2 import IPRoute, NetlinkError  # pyright: ignore[reportMissingTypeStubs]  # it has none

from mooring.guests.netns.namespaces import netlink_socket, path_of
from mooring.model.ids import NicId, guest_end_name
from mooring.model.subjects import GuestFailure, GuestNic

_UP = 1  # IFF_UP of linux/if.h


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the kernel has it.  Its alias is the id of the NIC that it was plugged in as: that is how it is known again."""

    index: int
    name: str
    alias: str
    mac: str
    mtu: int
    up: bool


def plug(host: str | None, namespace: str, nics: Sequence[GuestNic]) -> bool:
    """Make a guest's NICs its devices eth0, eth1, ... in order, as far as they are not; say whether there was anything to do.

    Raises:
        GuestFailure: the port of a NIC is neither in the guest nor waiting on the host.
    """
    with _netlink(namespace) as inside:
        devices = _devices(inside)
        changed = False
        for number, nic in enumerate(nics):
            plugged = next((device for device in devices if device.alias == nic.id), None)
            # Moved by somebody who was killed before the kernel came to the name.
            plugged = plugged or next((device for device in devices if device.name == guest_end_name(nic.id)), None)
            taken = {device.name for device in devices if device != plugged}
            name = plugged.name if plugged and plugged.name.startswith("eth") else _free_name(number, taken)
            if plugged is None:
                _take(host, namespace, nic, name)
            elif (plugged.name, plugged.alias, plugged.mac, plugged.mtu, plugged.up) != (
                name,
                nic.id,
                nic.mac,
                nic.mtu,
                True,
            ):
                if plugged.name != name:
                    inside.link(
                        "set", index=plugged.index, state="down"
                    )  # before 6.2, no device that is up can be renamed
                inside.link("set", index=plugged.index, **_wanted(nic, name))
            else:
                continue
            changed = True
            devices = _devices(inside)
    return changed


def _free_name(number: int, taken: set[str]) -> str:
    return next(name for name in (f"eth{n}" for n in count(number)) if name not in taken)


def _wanted(nic: GuestNic, name: str) -> dict[str, Any]:
    return {"ifname": name, "address": nic.mac, "mtu": nic.mtu, "ifalias": nic.id, "state": "up"}


def _take(host: str | None, namespace: str, nic: GuestNic, name: str) -> None:
    with _netlink(host) as outside:
        waiting = outside.link_lookup(ifname=guest_end_name(nic.id))
        if not waiting:
            raise GuestFailure(
                f"the port of NIC {nic.id} is not in place: there is no device {guest_end_name(nic.id)}."
            )
        # One message: nobody can be killed between its parts.
        outside.link("set", index=waiting[0], net_ns_fd=str(path_of(namespace)), **_wanted(nic, name))


def unplug(host: str | None, namespace: str) -> None:
    """Put a guest's ends back where they waited, down, so that their ports are still there and have no carrier."""
    with _netlink(namespace) as inside:
        for device in _devices(inside):
            name = (
                device.name
                if device.name.startswith("mg")
                else guest_end_name(NicId(device.alias))
                if device.alias
                else None
            )
            if name is None:
                continue  # lo, or something that the guest made
            try:
                inside.link("set", index=device.index, state="down")
                inside.link("set", index=device.index, ifname=name)
                inside.link(
                    "set",
                    index=device.index,
                    **({"net_ns_fd": str(path_of(host))} if host else {"net_ns_pid": os.getpid()}),
                )
            except NetlinkError:
                continue  # gone meanwhile, or the back-end has made the port anew: what remains goes with the namespace


def _devices(netlink: Any) -> list[Device]:
    return [
        Device(
            index=link["index"],
            name=link.get("ifname"),
            alias=link.get("ifalias") or "",
            mac=link.get("address") or "",
            mtu=link.get("mtu"),
            up=bool(link["flags"] & _UP),
        )
        for link in netlink.get_links()
    ]


@contextmanager
def _netlink(namespace: str | None) -> Generator[Any]:
    """Open netlink in a namespace, or in this process's own; for use by one thread, because pyroute2 opens another for another.

    Raises:
        GuestFailure: also in place of what the kernel refuses in the block.
    """
    # A socket stays in the namespace where it was made.  pyroute2's own way into one forks.
    opened: Any = IPRoute(fileno=netlink_socket(namespace).detach()) if namespace else IPRoute()
    with opened:
        try:
            yield opened
        except NetlinkError as error:
            raise GuestFailure(f"the kernel refuses to plug or unplug a port: {error}.") from error
