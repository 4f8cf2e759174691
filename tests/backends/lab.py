"""A host to try back-ends on: network namespaces that play the host and its providers, guests, and instruments that see packets.

Everything has a name of its own and goes again with `close`; nothing of the real host's links, rules or routes is touched.
"""

import subprocess
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_hex
from select import POLLIN, poll
from socket import (
    AF_INET,
    AF_PACKET,
    IPPROTO_IP,
    PACKET_OUTGOING,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    htons,
    socket,
    socketpair,
)
from threading import Event, Thread
from time import monotonic, sleep
from typing import TypeVar

from mooring.backends.linux import netns, processes
from mooring.backends.linux.backend import LinuxBackend
from mooring.backends.linux.netns import Inside
from mooring.compile.facts import HostState, diff
from mooring.model.ids import RouterId, guest_end_name, router_namespace
from mooring.model.subjects import NicIntent, RouterIntent
from tests.strategies import provider

T = TypeVar("T")

ECHO = 7
IP_PKTINFO = 8  # linux/in.h
_ETH_P_ALL = 3


def eventually(look: Callable[[], T], seconds: float = 5) -> T:
    """Return the first true thing that `look` sees."""
    until = monotonic() + seconds
    while not (seen := look()):
        assert monotonic() < until, f"still {seen!r} after {seconds} s"
        sleep(0.005)
    return seen


class Lab:
    """A host with the interfaces ext0, ext1 ... towards providers, and a back-end that runs it."""

    def __init__(self, run: Path, uplinks: int = 2) -> None:
        self.run = run
        self.tag = f"t-{token_hex(3)}"
        self.host = f"{self.tag}-host"
        self._insides: dict[str, Inside] = {}
        self._sockets: list[socket] = []
        self._echoes: list[Thread] = []
        self._ending, self._end = socketpair()
        self._names: list[str] = []
        self._backends: list[LinuxBackend] = []
        self.add(self.host)
        for number in range(uplinks):
            isp = self.add(self.isp(number))
            self.ip(self.host, f"link add ext{number} type veth peer name eth0 netns {isp}")
            self.ip(self.host, f"link set ext{number} up")
            self.ip(isp, "link set eth0 up")
            self.ip(isp, f"address add {provider(number).network_address + 1}/24 dev eth0")
        self.backend = self.another_backend()

    def isp(self, number: int) -> str:
        """Return the name of the namespace of the n-th provider."""
        return f"{self.tag}-isp{number}"

    def restart(self) -> None:
        """End the back-end and start another, as an agent does that is started anew."""
        self.backend.close()
        self._backends.remove(self.backend)
        self.backend = self.another_backend()

    def another_backend(self) -> LinuxBackend:
        """Return what an agent would have that starts on this host."""
        backend = LinuxBackend(self.run, self.host)
        self._backends.append(backend)
        return backend

    def settle(self, state: HostState) -> None:
        """Make a state true, as an agent does that knows nothing."""
        self.backend.apply(diff(self.backend.read(), state))

    def add(self, name: str) -> str:
        """Make a namespace."""
        netns.create(name)
        self._names.append(name)
        self.ip(name, "link set lo up")
        return name

    def ip(self, namespace: str, command: str) -> str:
        return self.at(namespace, *f"ip {command}".split())

    def at(self, namespace: str, *command: str) -> str:
        """Run a command in a namespace."""
        full = ["nsenter", f"--net=/run/netns/{namespace}", *command]
        done = subprocess.run(full, capture_output=True, text=True, check=False, timeout=20)
        assert not done.returncode, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def router(self, router: RouterIntent) -> str:
        """Return the name of a router's namespace."""
        return router_namespace(RouterId(router.id))

    def guest(self, nic: NicIntent, router: RouterIntent) -> str:
        """Take a NIC's end into a namespace that plays the guest, configured as DHCP would; return its name."""
        port = next(port for port in router.ports if port.network == nic.network)
        name = self.add(f"{self.tag}-g{nic.id[1:8]}")
        self.ip(self.host, f"link set {guest_end_name(nic.id)} netns {name} name eth0 address {nic.mac}")
        for fixed in nic.addresses:
            self.ip(name, f"address add {fixed.address}/{port.address.network.prefixlen} dev eth0")
        self.ip(name, "link set eth0 up")
        self.ip(name, f"route add default via {port.address.ip}")
        return name

    def open(self, namespace: str, family: int = AF_INET, kind: int = SOCK_DGRAM, protocol: int = 0) -> socket:
        """Open a socket in a namespace."""
        if namespace not in self._insides:
            self._insides[namespace] = Inside(namespace, "lab")
        made = self._insides[namespace].run(lambda: socket(family, kind, protocol))
        made.settimeout(1)
        return self.keep(made)

    @contextmanager
    def capture(
        self, namespace: str, device: str = "eth0", *, outgoing: bool = True
    ) -> Generator[Callable[[], list[bytes]]]:
        """Record the frames of a device as long as the block lasts; without `outgoing` only those that come in."""
        recorder = self.open(namespace, AF_PACKET, SOCK_RAW, htons(_ETH_P_ALL))
        recorder.bind((device, _ETH_P_ALL))
        recorder.settimeout(0.05)
        frames: list[bytes] = []
        stop = Event()

        def record() -> None:
            while not stop.is_set():
                try:
                    frame, (_, _, kind, *_) = recorder.recvfrom(2048)
                except TimeoutError:
                    continue
                if outgoing or kind != PACKET_OUTGOING:
                    frames.append(frame)

        thread = Thread(target=record)
        thread.start()
        try:
            yield lambda: list(frames)
        finally:
            sleep(0.1)
            stop.set()
            thread.join()

    def keep(self, made: socket) -> socket:
        """Close a socket when all is closed."""
        self._sockets.append(made)
        return made

    def echo(self, namespace: str, port: int = ECHO) -> None:
        """Answer every datagram in a namespace, as whom it was for, with the namespace's name and the address that it came from."""
        server = self.open(namespace)
        server.settimeout(0)
        server.setsockopt(IPPROTO_IP, IP_PKTINFO, 1)
        server.bind(("", port))
        waiting = poll()
        waiting.register(server, POLLIN)
        waiting.register(self._ending, POLLIN)

        def answer() -> None:
            while True:
                ready = {file for file, _ in waiting.poll()}
                if self._ending.fileno() in ready:
                    return
                # What is wrong with one datagram, as when the namespace loses its way back, is nothing to the next.
                with suppress(OSError):
                    text, [(_, _, info)], _, sender = server.recvmsg(2048, 64)
                    answer = b"%s %s " % (namespace.encode(), sender[0].encode()) + text
                    server.sendmsg([answer], [(IPPROTO_IP, IP_PKTINFO, bytes(4) + info[4:])], 0, sender)

        self._echoes.append(Thread(target=answer, daemon=True))
        self._echoes[-1].start()

    def ask(
        self, namespace: str, target: IPv4Address | str, port: int = ECHO, wait: float = 0.5
    ) -> tuple[str, str] | None:
        """Send a datagram; return who answered and as whom we were seen, None if nobody did."""
        client = self.open(namespace)
        client.settimeout(wait)
        client.connect((str(target), port))
        try:
            client.send(b"hello")
            who, seen, *_ = client.recv(2048).decode().split(" ")
        except (TimeoutError, OSError):
            return None
        return who, seen

    def stream(self, namespace: str, port: int = ECHO) -> socket:
        """Listen for connections in a namespace."""
        server = self.open(namespace, kind=SOCK_STREAM)
        server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        server.bind(("", port))
        server.listen()
        return server

    def forget(self, namespaces: Iterable[str]) -> None:
        """Remove namespaces before the end, so that others can have their names; what was opened in them goes with all."""
        for name in namespaces:
            netns.remove(name)
            self._names.remove(name)
            if (inside := self._insides.pop(name, None)) is not None:
                inside.close()

    def close(self) -> None:
        """Remove everything."""
        # First who reads from sockets: its descriptor would be another lab's next, and so would what comes there.
        self._end.close()
        for echo in self._echoes:
            echo.join()
        self._ending.close()
        for each in self._sockets:
            each.close()
        for inside in self._insides.values():
            inside.close()
        try:
            self.settle({})
        finally:
            for backend in self._backends:
                backend.close()
            for process in processes.named("dnsmasq"):
                if any(str(self.run) in argument for argument in process.arguments):
                    processes.end(process.id)
            for name in (*netns.names("mooring-r-"), *self._names):
                netns.remove(name)
