"""Several hosts on one machine, each a namespace with a back-end of its own, joined by three switches.

    und0  192.168.77.0/24   between hosts, for tunnels
    seg0                    between hosts, for tags and for networks without
    ext0  198.51.100.0/24   the provider, with an address and an echo server on the wire itself

The hosts of a real installation don't share /run/netns; so here each is only asked for, and told, what is in its own places.
"""

import json
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from mooring.backends.linux import netns
from mooring.compile.facts import HOST, HostState, Key, Place, Row, diff
from mooring.compile.host import compile_host
from mooring.model.ids import guest_end_name
from mooring.model.subjects import HostRole, NicIntent, Subject
from tests.backends.lab import Lab, eventually
from tests.strategies import ENDPOINT, SEGMENT, provider

ISP = provider(0).network_address + 1
SWITCHES = {"und0": "under", SEGMENT: "segment", "ext0": "outside"}

Placed = Iterable[tuple[Subject, HostRole]]


class Hosts:
    """So many hosts, numbered from 0."""

    def __init__(self, run: Path, count: int) -> None:
        self.labs = [Lab(run / str(number), uplinks=0) for number in range(count)]
        self._places: list[set[Place]] = [{HOST} for _ in range(count)]
        first = self.labs[0]
        self.switches = {device: first.add(f"{first.tag}-{name}") for device, name in SWITCHES.items()}
        self.outside = self.switches["ext0"]
        for name in self.switches.values():
            # As quiet as a wire: forwards at once, and says nothing.
            first.ip(name, "link add sw0 type bridge forward_delay 0 mcast_snooping 0")
            first.ip(name, "link set sw0 up")
        first.ip(self.outside, f"address add {ISP}/24 dev sw0")
        for number, lab in enumerate(self.labs):
            for device, name in self.switches.items():
                lab.ip(lab.host, f"link add {device} type veth peer name h{number} netns {name}")
                lab.ip(lab.host, f"link set {device} up")
                lab.ip(name, f"link set h{number} master sw0 up")
            lab.ip(lab.host, f"address add {self.endpoint(number)}/24 dev und0")
        for name in self.switches.values():
            # The kernel may take a second to see that a cable is in.
            eventually(partial(self._is_up, name))
        first.echo(self.outside)

    def _is_up(self, switch: str) -> bool:
        ports = json.loads(self.labs[0].at(switch, "bridge", "-json", "link", "show"))
        return all(port["state"] == "forwarding" for port in ports)

    def endpoint(self, host: int) -> IPv4Address:
        """Return the tunnel endpoint of a host."""
        return ENDPOINT + host

    def read(self, host: int) -> HostState:
        state: dict[Key, Row] = {}
        for place in self._places[host]:
            state.update(self.labs[host].backend.read(place))
        return state

    def settle(self, host: int, placed: Placed) -> None:
        """Make true what subjects ask of a host."""
        state = compile_host(placed)
        self._places[host] |= {key.place for key in state}
        self.labs[host].backend.apply(diff(self.read(host), state))
        assert str(diff(self.read(host), state)) == ""

    def guest(self, host: int, nic: NicIntent, gateway: IPv4Address | None = None) -> str:
        """Plug a guest in that answers datagrams; without a gateway it has no address yet.  Return its namespace."""
        lab = self.labs[host]
        name = lab.add(f"{lab.tag}-{nic.id[:8]}")
        lab.ip(lab.host, f"link set {guest_end_name(nic.id)} netns {name} name eth0 address {nic.mac}")
        lab.ip(name, "link set eth0 up")
        if gateway is not None:
            for fixed in nic.addresses:
                lab.ip(name, f"address add {fixed.address}/24 dev eth0")
            lab.ip(name, f"route add default via {gateway}")
        lab.echo(name)
        return name

    def ask(self, namespace: str, target: IPv4Address) -> tuple[str, str] | None:
        """Send a datagram; return who answered and as whom we were seen."""
        return self.labs[0].ask(namespace, target, wait=1)

    def capture(self, switch: str, port: int) -> AbstractContextManager[Callable[[], list[bytes]]]:
        """Record all frames between a switch and a host, both ways."""
        return self.labs[0].capture(self.switches[switch], f"h{port}")

    def close(self) -> None:
        try:
            for number, lab in enumerate(self.labs):
                lab.backend.apply(diff(self.read(number), {}))
        finally:
            for lab in reversed(self.labs):
                lab.close()
            assert not list(netns.names("mooring-r-"))


def lease(hosts: Hosts, guest: str) -> str:
    """Ask by DHCP for an address and take it; return it with the router's."""
    script = hosts.labs[0].run / "told"
    script.write_text(
        '#!/bin/sh\n[ "$1" = bound ] || exit 0\n'
        'ip address add "$ip/$mask" dev eth0 && ip route add default via "$router" && echo "$ip by $router"\n'
    )
    script.chmod(0o755)
    return hosts.labs[0].at(guest, *f"busybox udhcpc -f -q -n -t5 -T1 -i eth0 -s {script}".split())


def tunnelled(frames: list[bytes]) -> list[tuple[int, bytes]]:
    """Return the frames inside of VXLAN packets, with their VNI."""
    return [
        (int.from_bytes(frame[46:49], "big"), frame[50:])
        for frame in frames
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == struct.pack("!H", 4789)
    ]


def owners(lab: Lab, namespace: str, device: str, addresses: Iterable[IPv4Address]) -> dict[IPv4Address, set[str]]:
    """Ask on a wire who has each address; return those that were answered for, and by whom."""
    asker = lab.open(namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    asker.bind((device, 0x0806))
    mac = asker.getsockname()[4]
    for address in addresses:
        head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        asker.send(head + mac + ISP.packed + bytes(6) + address.packed)
    found: dict[IPv4Address, set[str]] = {}
    asker.settimeout(0.3)
    while True:
        try:
            frame = asker.recv(2048)
        except TimeoutError:
            return found
        if frame[20:22] == b"\0\2":
            found.setdefault(IPv4Address(frame[28:32]), set()).add(frame[22:28].hex(":"))
