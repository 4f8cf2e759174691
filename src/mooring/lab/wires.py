"""The wires of a laboratory: segments between hosts, the operator's router, providers, and the hosts outside.

Every wire is a pair of devices from a machine to a bridge.  Hosts' interfaces: eth0 (management and tunnels), trunk0 (one untagged network),
tags0 (VLANs), flat0 (in br-flat, the operator's own bridge) and, on gateways, ext0, ext1 ... towards the providers.
"""

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mooring.lab.machine import NAMESPACES, LaboratoryFailed, forget
from mooring.lab.plan import CONTROL, OPERATOR, UNDERLAY, HostPlan, Plan, ProviderPlan, flat_gateway, flat_network

FLAT_BRIDGE = "br-flat"
TRUNK, TAGS = "trunk0", "tags0"
_TIMEOUT = 60


def namespaces(plan: Plan) -> Iterator[str]:
    """Return the namespaces that are no machines: nothing runs there but tools."""
    yield UNDERLAY
    yield OPERATOR
    for provider in plan.providers:
        yield provider.name
        yield provider.outside


def make_namespaces(names: Iterable[str]) -> None:
    """Make namespaces that have a name and nothing else."""
    for name in names:
        path = NAMESPACES / name
        path.touch()
        # Not `ip netns add`: it needs to come back into the network namespace that it left, which an ordinary user may not.
        subprocess.run(["unshare", f"--net={path}", "true"], check=True, timeout=_TIMEOUT)


def remove_namespaces(names: Iterable[str]) -> None:
    """Take them away, and with them all wires that end there."""
    for name in names:
        forget(name)


class _Step(NamedTuple):
    """A command of `ip` in a namespace.  First come all bridges, then all wires, and then their far ends."""

    phase: int
    namespace: str
    command: str


_BRIDGES, _WIRES, _FAR_ENDS = range(3)


def lay(plan: Plan) -> None:
    """Lay all wires; machines are on, and namespaces made.

    Raises:
        LaboratoryFailed: with the kernel's reason.
    """
    steps = sorted(_steps(plan), key=lambda step: step[:2])
    for (_, namespace), several in groupby(steps, key=lambda step: step[:2]):
        _ip(namespace, [step.command for step in several])
    for name in (OPERATOR, *(provider.name for provider in plan.providers)):
        _set(name, "net.ipv4.ip_forward=1")


def _steps(plan: Plan) -> Iterator[_Step]:
    for segment in ("eth", "trunk", "tags", *(f"flat-{cluster}" for cluster in plan.clusters)):
        yield from _bridge(UNDERLAY, segment)
    yield from _plug(CONTROL, "eth0", (UNDERLAY, "eth", "control"), plan.control)
    for host in plan.machines:
        yield from _host(host)
    for cluster in plan.clusters:
        address = f"{flat_gateway(cluster)}/{flat_network(cluster).prefixlen}"
        yield from _plug(OPERATOR, cluster, (UNDERLAY, f"flat-{cluster}", f"op-{cluster}"), address)
    for provider in plan.providers:
        yield from _provider(plan, provider)


def _bridge(namespace: str, name: str) -> Iterator[_Step]:
    # Without the spanning tree's delay, and without IPv6's own packets, which would be noise in what is counted.
    yield _Step(_BRIDGES, namespace, f"link add {name} type bridge forward_delay 0 mcast_snooping 0")
    yield _Step(_BRIDGES, namespace, f"link set {name} addrgenmode none")
    yield _Step(_BRIDGES, namespace, f"link set {name} up")


def _plug(namespace: str, device: str, to: tuple[str, str, str], address: object = None) -> Iterator[_Step]:
    """Join a device of one namespace to (namespace, bridge, port) of another."""
    switch, bridge, port = to
    yield _Step(_WIRES, namespace, f"link add {device} type veth peer name {port} netns {switch}")
    yield _Step(_WIRES, namespace, f"link set {device} addrgenmode none up")
    if address is not None:
        yield _Step(_WIRES, namespace, f"addr add {address} dev {device}")
    yield _Step(_FAR_ENDS, switch, f"link set {port} addrgenmode none master {bridge} up")


def _host(host: HostPlan) -> Iterator[_Step]:
    yield from _bridge(host.name, FLAT_BRIDGE)
    wires = {"eth0": "eth", TRUNK: "trunk", TAGS: "tags", "flat0": f"flat-{host.cluster}"}
    for device, segment in wires.items():
        address = host.address if device == "eth0" else None
        yield from _plug(host.name, device, (UNDERLAY, segment, f"h{host.number}-{device[:-1]}"), address)
    yield _Step(_WIRES, host.name, f"link set flat0 master {FLAT_BRIDGE}")


def _provider(plan: Plan, provider: ProviderPlan) -> Iterator[_Step]:
    yield from _bridge(provider.name, "customers")
    yield _Step(_BRIDGES, provider.name, f"addr add {provider.gateway} dev customers")
    for host in plan.machines:
        if host.gateway:
            yield from _plug(host.name, provider.interface, (provider.name, "customers", f"h{host.number}"))
    far = (
        f"link add far0 type veth peer name eth0 netns {provider.outside}",
        "link set far0 addrgenmode none up",
        f"addr add {provider.far} dev far0",
    )
    near = (
        "link set lo up",
        "link set eth0 addrgenmode none up",
        f"addr add {provider.outside_address} dev eth0",
        f"route add default via {provider.far.ip}",
    )
    yield from (_Step(_WIRES, provider.name, command) for command in far)
    yield from (_Step(_FAR_ENDS, provider.outside, command) for command in near)


def _ip(namespace: str, commands: Sequence[str]) -> None:
    done = subprocess.run(
        ["ip", "-n", namespace, "-batch", "-"],
        input="".join(f"{command}\n" for command in commands),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise LaboratoryFailed(f"the wires of {namespace} can't be laid: {done.stderr.strip()}")


def _set(namespace: str, setting: str) -> None:
    command = ["nsenter", f"--net={NAMESPACES / namespace}", "sysctl", "-qw", setting]
    subprocess.run(command, check=True, timeout=_TIMEOUT)


def has_vlans() -> bool:
    """Say whether this kernel makes 802.1Q devices, by making one in a namespace that ends with it."""
    script = "ip link add d0 type dummy && ip link add link d0 name d0.2 type vlan id 2"
    command = ["unshare", "--net", "sh", "-c", script]
    return not subprocess.run(command, check=False, capture_output=True, timeout=_TIMEOUT).returncode
