"""A world with two providers: one host that runs mooring, and two machines outside that both providers lead to.

                 ext0 ..... 198.51.100.1 [ isp-a ] ┐                ┌ 192.0.2.10  [ shop ]
    guests --[ host ]                              ├--[ internet ]--┤
                 ext1 ..... 203.0.113.1  [ isp-b ] ┘                └ 192.0.2.200 [ archive ]

A provider takes from its customer only what has an address of the provider's: what leaves by the wrong one is heard by nobody.  The machines
outside tell everybody who asks as whom they see him.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from mooring.demos.stage import HOST, Stage, ip
from mooring.guests.netns.namespaces import opened_in

INTERNET = "internet"
ECHO, WHOAMI = 7, 77
"""Ports of the machines outside: one that says again what it hears, and one that says whom it sees."""


@dataclass(frozen=True, slots=True)
class Isp:
    """A provider: its namespace, its addresses, and the host's interface towards it."""

    name: str
    cidr: IPv4Network
    interface: str
    number: int

    @property
    def gateway(self) -> IPv4Address:
        """Its own address, which is its customer's next hop."""
        return self.cidr.network_address + 1

    def cable(self, *, there: bool) -> None:
        """Plug its customer's cable in, or out."""
        ip("-n", self.name, "link", "set", "customer", "up" if there else "down")

    def router(self, *, there: bool) -> None:
        """Let its router have its address towards the customer, or not; the cable stays as it is."""
        address = f"{self.gateway}/{self.cidr.prefixlen}"
        ip("-n", self.name, "address", "add" if there else "del", address, "dev", "customer")


ISP_A = Isp("isp-a", IPv4Network("198.51.100.0/24"), "ext0", 1)
ISP_B = Isp("isp-b", IPv4Network("203.0.113.0/24"), "ext1", 2)
SHOP, ARCHIVE = "shop", "archive"
OUTSIDE = {SHOP: IPv4Address("192.0.2.10"), ARCHIVE: IPv4Address("192.0.2.200")}
_HALF = 25
"""Each machine outside is alone in its half of 192.0.2.0/24."""


class Crossroads(Stage):
    """The stage of a story with two providers."""

    names = (HOST, ISP_A.name, ISP_B.name, INTERNET, *OUTSIDE)

    def __enter__(self) -> Self:
        """Build the world, let the machines outside answer, and start mooring."""
        super().__enter__()
        try:
            for name in OUTSIDE:
                self._stack.enter_context(_served(name, ECHO, _echo))
                self._stack.enter_context(_served(name, WHOAMI, _whoami))
        except BaseException:
            self._stack.close()
            raise
        return self

    def _wire(self) -> None:
        """Join the namespaces."""
        for isp in (ISP_A, ISP_B):
            link = IPv4Network(f"100.64.{isp.number}.0/30")
            _join(HOST, isp.interface, isp.name, "customer")
            ip("-n", isp.name, "addr", "add", f"{isp.gateway}/{isp.cidr.prefixlen}", "dev", "customer")
            _join(isp.name, "uplink", INTERNET, isp.name)
            ip("-n", isp.name, "addr", "add", f"{link[1]}/30", "dev", "uplink")
            ip("-n", INTERNET, "addr", "add", f"{link[2]}/30", "dev", isp.name)
            ip("-n", isp.name, "route", "add", "default", "via", str(link[2]))
            ip("-n", INTERNET, "route", "add", str(isp.cidr), "via", str(link[1]))
            self.set(isp.name, "net.ipv4.ip_forward", 1)
            self.set(isp.name, "net.ipv4.conf.customer.rp_filter", 1)
        for name, address in OUTSIDE.items():
            half = IPv4Network((address, _HALF), strict=False)
            _join(name, "eth0", INTERNET, name)
            ip("-n", INTERNET, "addr", "add", f"{half[1]}/{half.prefixlen}", "dev", name)
            ip("-n", name, "addr", "add", f"{address}/{half.prefixlen}", "dev", "eth0")
            ip("-n", name, "route", "add", "default", "via", str(half[1]))
        self.set(INTERNET, "net.ipv4.ip_forward", 1)


def _join(one: str, device: str, other: str, its: str) -> None:
    ip("-n", one, "link", "add", device, "type", "veth", "peer", "name", its, "netns", other)
    ip("-n", one, "link", "set", device, "up")
    ip("-n", other, "link", "set", its, "up")


@contextmanager
def _served(namespace: str, port: int, answer: Callable[[socket.socket], None]) -> Generator[None]:
    """Answer connections in a namespace as long as this lasts."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    # Everybody there may ask: it is a world of its own.
    server = opened_in(namespace, lambda: Server(("0.0.0.0", port), Handler))  # noqa: S104
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name=namespace, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _whoami(channel: socket.socket) -> None:
    who, _ = channel.getpeername()
    channel.sendall(f"you are {who}\n".encode())


def _echo(channel: socket.socket) -> None:
    try:
        while heard := channel.recv(1 << 16):
            channel.sendall(heard)
    except OSError:
        return  # who asked has gone without a word
