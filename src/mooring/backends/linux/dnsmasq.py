"""DHCP and DNS for guests: one dnsmasq per network, in the router's namespace, with one file per NIC.

How does a restarted agent know that a server is ours, and right?  By its command line, which names a configuration below our run
directory; that file's name holds the hash of its text, and its first line the fact that it was written for.  A process id is never
believed: processes are looked for among those that run.  A server of another namespace, or of a device that was made anew, is wrong.

How does it know that an entry is ours?  It is a file in the server's directory of entries; every file there is.

Leases live in the server's memory only.  Each NIC has one fixed address and the server is authoritative, so a server that starts anew
gives every guest that asks the address that it has.
"""

import hashlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from mooring.backends.linux import dialogue, processes
from mooring.backends.linux.entries import Entries, write
from mooring.backends.linux.netns import NETNS
from mooring.backends.linux.space import Space, name_of
from mooring.backends.names import is_word
from mooring.compile.facts import Key, Place, PlaceKind, Refused, Row, fact_line
from mooring.compile.tables import DHCP_SERVER
from mooring.model.ids import is_uuid

DOMAIN = "mooring.internal"

_CONFIG = re.compile(r"server-[0-9a-f]{16}\.conf")
_TAKEN = "Address already in use"
_START_TIMEOUT = 10
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """What a DHCP_SERVER fact says; `index` is the device's number in the kernel."""

    network: str
    device: str
    address: IPv4Interface
    dns: tuple[IPv4Address, ...]
    mtu: int
    lease: int
    index: int


class Dnsmasq:
    """The servers of all routers; `directory` is ours alone, and may be lost at a reboot as the servers are.

    `seen` is told of each router's processes whenever they are looked for.
    """

    def __init__(self, directory: Path, seen: Callable[[Place, Iterable[int]], None]) -> None:
        self._directory = directory
        self._seen = seen
        self._files: dict[tuple[Place, str], Entries] = {}

    def read(self, space: Space | None, place: Place) -> dict[Key, Row]:
        """Return the servers and entries of a router."""
        state: dict[Key, Row] = {}
        running = self._running(place)
        for network in sorted({*self._networks(place), *running}):
            key = Key(DHCP_SERVER, place, (network,))
            home = self._home(place, network)
            value = self._value(space, home, running.get(network, []))
            if value is not None:
                state[key] = value
            if space is not None:
                state.update(self._entries(place, network).read())
        return state

    def places(self) -> list[Place]:
        """Return the routers that have servers or files of servers."""
        try:
            ids = {path.name for path in self._directory.iterdir() if is_uuid(path.name)}
        except FileNotFoundError:
            ids = set[str]()
        root = f"--conf-file={self._directory}/"
        for process in processes.named("dnsmasq"):
            for argument in process.arguments:
                if argument.startswith(root) and is_uuid(id := argument.removeprefix(root).partition("/")[0]):
                    ids.add(id)
        return [Place(PlaceKind.ROUTER, id) for id in sorted(ids)]

    def put_servers(self, space: Space, put: Mapping[Key, Row]) -> None:
        """Start servers, or start them anew with other configurations.

        Raises:
            Refused: a fact can't be written, or dnsmasq doesn't take it, and the servers that ran go on; or one doesn't start.
        """
        configs = {key: self._prepare(space, key, value) for key, value in put.items()}
        # All that change end before the first starts: one may want the address that another gives up.
        running = self._running(space.place)
        for key in put:
            for process in running.get(str(key.row[0]), []):
                processes.end(process.id)
        for key, config in configs.items():
            self._start(space, key, config, fact_line(key, put[key]))
            for other in config.parent.glob("server-*.conf"):
                if other != config:
                    other.unlink(missing_ok=True)
        self._running(space.place)  # whoever watches learns of them

    def _start(self, space: Space, key: Key, config: Path, fact: str) -> None:
        """Run a server.  It goes into the background by itself, in a session of its own, and outlives us; when it is there, it serves."""
        until = time.monotonic() + _PATIENCE
        while True:
            result = subprocess.run(
                ["nsenter", f"--net={NETNS / name_of(space.place)}", "dnsmasq", f"--conf-file={config}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=_START_TIMEOUT,
                cwd="/",
                stdin=subprocess.DEVNULL,
            )
            if not result.returncode:
                return
            if _TAKEN not in result.stderr or time.monotonic() > until:
                raise Refused(f"{fact}: {result.stderr.strip()}")
            # One that was killed a moment ago may have its sockets still, one that an agent began to start just before it was killed
            # may have them by now.
            for process in self._running(key.place).get(str(key.row[0]), []):
                processes.end(process.id)
            time.sleep(0.01)

    def _prepare(self, space: Space, key: Key, value: Row) -> Path:
        """Write a server's configuration and let dnsmasq check it."""
        server = _server(space, key, value)
        home = self._home(key.place, server.network)
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        hosts = home / "hosts"
        if not hosts.is_file():
            write(hosts, "")
        for word in (server.network, server.device):
            if not is_word(word):
                raise Refused(f"{fact_line(key, value)}: {word!r} can't be written into a configuration")
        text = _config(server, home)
        config = home / _name(text)
        write(config, text)
        _check(config, fact_line(key, value))
        return config

    def drop_server(self, key: Key) -> None:
        """Stop a server and forget its entries."""
        network = str(key.row[0])
        for process in self._running(key.place).get(network, []):
            processes.end(process.id)
        self._remove(key.place, network)

    def end_strays(self, space: Space) -> None:
        """End servers of a router whose namespace lost its name: they keep it alive, and its devices' addresses in use."""
        for running in self._running(space.place).values():
            for process in running:
                if processes.network_namespace(process.id) != space.inside.inode:
                    processes.end(process.id)

    def drop_place(self, place: Place) -> None:
        """Stop all servers of a router."""
        for network, running in self._running(place).items():
            for process in running:
                processes.end(process.id)
            self._remove(place, network)
        shutil.rmtree(self._directory / place.id, ignore_errors=True)

    def change_entries(self, space: Space, put: Mapping[Key, Row], drop: Mapping[Key, Row]) -> None:
        """Drop and put entries; they hold for the next packet from a guest.

        dnsmasq reads its file when it is told to, but it may look at a packet before it looks at what it was told; so it is waited
        for.  An address that was leased is then given back in the guest's name: dnsmasq keeps it for whom it leased it to.

        Raises:
            Refused: an entry can't be written.
        """
        running = self._running(space.place)
        for network in sorted({str(key.row[0]) for key in (*drop, *put)}):
            there = self._entries(space.place, network)
            mine = {key: value for key, value in put.items() if key.row[0] == network}
            gone = {key: value for key, value in drop.items() if key.row[0] == network}
            there.change(mine, gone)
            processes_here = running.get(network, [])
            server = _fact(self._home(space.place, network), processes_here)
            for process in processes_here:
                process.signal(signal.SIGHUP)
            if server is None:
                continue  # it is wrong or not there, and reads its entries when it starts
            dialogue.settle(space.inside, server.address.ip)
            for key, value in gone.items():
                if mine.get(key) != value and isinstance(value[0], IPv4Address):
                    dialogue.release(space.inside, server.device, server.address.ip, value[0], str(key.row[1]))

    def _entries(self, place: Place, network: str) -> Entries:
        """Return the entries of a server."""
        key = (place, network)
        if key not in self._files:
            self._files[key] = Entries(self._home(place, network) / "hosts", place, network)
        return self._files[key]

    def _remove(self, place: Place, network: str) -> None:
        self._files.pop((place, network), None)
        shutil.rmtree(self._home(place, network), ignore_errors=True)

    def _home(self, place: Place, network: str) -> Path:
        return self._directory / place.id / network

    def _networks(self, place: Place) -> list[str]:
        try:
            return [path.name for path in (self._directory / place.id).iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []

    def _running(self, place: Place) -> dict[str, list[processes.Process]]:
        """Return our dnsmasq processes of a router by network."""
        root = f"--conf-file={self._directory / place.id}/"
        found: dict[str, list[processes.Process]] = {}
        for process in processes.named("dnsmasq"):
            for argument in process.arguments:
                if argument.startswith(root):
                    found.setdefault(argument.removeprefix(root).partition("/")[0], []).append(process)
        self._seen(place, [process.id for running in found.values() for process in running])
        return found

    def _value(self, space: Space | None, home: Path, running: list[processes.Process]) -> Row | None:
        """Return what runs of a server, None if nothing does."""
        if not running:
            return None
        if len(running) > 1:
            return ("runs twice",)
        if space is None or processes.network_namespace(running[0].id) != space.inside.inode:
            return ("in another namespace",)
        server = _fact(home, running)
        if server is None:
            return ("with another configuration",)
        link = space.rtnl.link(server.device)
        if link is None or link.index != server.index:
            return ("its device is gone",)
        return (server.device, server.address, ",".join(map(str, server.dns)), server.mtu, server.lease)


def _server(space: Space, key: Key, value: Row) -> Server:
    match key.row, value:
        case (str() as network,), (
            str() as device,
            IPv4Interface() as address,
            str() as dns,
            int() as mtu,
            int() as lease,
        ):
            link = space.rtnl.link(device)
            if link is None:
                raise Refused(f"{fact_line(key, value)}: no device {device}")
            servers = tuple(IPv4Address(server) for server in dns.split(",") if server)
            return Server(network, device, address, servers, mtu, lease, link.index)
        case _:
            raise Refused(f"{fact_line(key, value)}: not of the types of {key.table.name}")


def _config(server: Server, home: Path) -> str:
    """Write a server's configuration, of plain words only: dnsmasq has no quoting worth the name."""
    subnet: IPv4Network = server.address.network
    dns = ",".join(map(str, server.dns)) or server.address.ip
    settings = (
        ("interface", server.device),
        ("except-interface", "lo"),
        ("bind-interfaces", ""),
        ("no-resolv", ""),
        ("no-hosts", ""),
        ("domain", DOMAIN),
        ("local", f"/{DOMAIN}/"),
        ("dhcp-range", f"{subnet.network_address},static,{subnet.netmask},{server.lease}s"),
        ("dhcp-authoritative", ""),
        ("dhcp-hostsfile", home / "hosts"),
        ("dhcp-lease-max", max(65536, subnet.num_addresses)),
        ("leasefile-ro", ""),
        ("dhcp-option", f"3,{server.address.ip}"),
        ("dhcp-option", f"6,{dns}"),
        ("dhcp-option", f"26,{server.mtu}"),
        ("dhcp-no-override", ""),
        # A guest says any identifier, and another's lease would be its; the hardware address is what filters hold it to.
        ("dhcp-ignore-clid", ""),
        ("quiet-dhcp", ""),
    )
    head = f"# {server.network} {server.device} {server.address} {dns if server.dns else '-'} {server.mtu} {server.lease} {server.index}\n"
    text = head + "".join(f"{name}={setting}\n" if setting != "" else f"{name}\n" for name, setting in settings)
    # These may be empty, which is not the same as not being there.
    return text + "".join(f"{name}={setting}\n" for name, setting in (("pid-file", ""), *processes.unprivileged()))


def _name(text: str) -> str:
    return f"server-{hashlib.sha256(text.encode()).hexdigest()[:16]}.conf"


def _fact(home: Path, running: list[processes.Process]) -> Server | None:
    """Return what a running server was configured for, None if its configuration is not as we would write it."""
    for process in running:
        for argument in process.arguments:
            config = Path(argument.removeprefix("--conf-file="))
            if config.parent != home or not _CONFIG.fullmatch(config.name):
                continue
            try:
                text = config.read_text(encoding="ascii")
                _, network, device, address, dns, mtu, lease, index = text.partition("\n")[0].split(" ")
                servers = () if dns == "-" else tuple(IPv4Address(server) for server in dns.split(","))
                server = Server(network, device, IPv4Interface(address), servers, int(mtu), int(lease), int(index))
            except (OSError, ValueError):
                return None
            return server if text == _config(server, home) and config.name == _name(text) else None
    return None


def _check(config: Path, fact: str) -> None:
    result = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={config}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_TIMEOUT,
    )
    if result.returncode:
        config.unlink()
        raise Refused(f"{fact}: {result.stderr.strip()}")
