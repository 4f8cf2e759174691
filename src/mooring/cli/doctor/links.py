"""What the configuration says that this host is joined to others by: whether it is there, and can do what it is named for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring.cli.doctor import kernel, trial
from mooring.cli.doctor.check import Check, Lacking

if TYPE_CHECKING:
    from mooring.config import HostSettings

_GROUP = "to other hosts"


def checks(config: Path | None) -> Iterator[Check]:
    """Return the checks of what the configuration names; none where it names nothing, or can't be read, which another check says."""
    # Not with the module: every command would wait for it.
    from mooring.config import ConfigurationError, load

    try:
        host = load(config).host
    except ConfigurationError:
        return
    if host.vlan_interface is not None:
        cost = "This host would be given networks of kind vlan that it can't carry: leave host.vlan_interface out."
        yield Check(_GROUP, "vlan_interface", cost, _vlans(host, host.vlan_interface), needed=True)
    if host.trunk_interface is not None:
        cost = "This host would be given a network that it can't carry: leave host.trunk_interface out."
        yield Check(_GROUP, "trunk_interface", cost, lambda: _is_up(host, str(host.trunk_interface)), needed=True)
    if host.endpoint is not None:
        cost = "Tunnels of this host would end nowhere: host.endpoint must be an address of it."
        yield Check(_GROUP, "endpoint", cost, lambda: _has(host, str(host.endpoint)), needed=True)


def _vlans(host: "HostSettings", name: str) -> Callable[[], str]:
    (tagging,) = (check for check in kernel.checks() if check.name == kernel.VLANS)

    def attempt() -> str:
        seen = _is_up(host, name)
        try:
            tagging.attempt()
        except Lacking as lacking:
            raise Lacking(f"{name} is there, but this kernel carries no VLANs: {lacking}") from lacking
        return seen

    return attempt


def _is_up(host: "HostSettings", name: str) -> str:
    for link in _show(host, "link"):
        if link["ifname"] == name:
            if "UP" not in link["flags"]:
                raise Lacking(f"{name} is down")
            return f"{name} is up, and takes {link['mtu']} bytes"
    raise Lacking(f"the host has no interface {name}")


def _has(host: "HostSettings", address: str) -> str:
    for link in _show(host, "address"):
        if address in [each.get("local") for each in link["addr_info"]]:
            return f"{address} is on {link['ifname']}"
    raise Lacking(f"no interface of the host has {address}")


def _show(host: "HostSettings", what: str) -> list[dict[str, Any]]:
    place = [] if host.namespace is None else ["-n", host.namespace]
    found: list[dict[str, Any]] = json.loads(trial.run(["ip", "-json", *place, what, "show"]))
    return [link for link in found if link]
