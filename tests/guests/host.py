"""What a guest driver finds on a host: a namespace with a bridge, ports in it, a real DHCP server.  Stands in for a back-end."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

from mooring.model.ids import InstanceId, NetworkId, NicId, guest_end_name, port_name
from mooring.model.subjects import GuestNic, InstanceIntent
from mooring.model.traits import PortKind

T = TypeVar("T")
GATEWAY = "10.9.0.1"


def eventually(look: Callable[[], T], seconds: float = 10) -> T:
    """Return the first true thing that `look` sees; the last thing it saw says why there was none."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        time.sleep(0.02)
    return seen


class Host:
    """`ports` is what the guests' driver takes; `patience` is how many seconds a guest has to come up and answer."""

    def __init__(self, run_dir: Path, ports: PortKind = PortKind.VETH, patience: float = 10) -> None:
        self.ports = ports
        self.patience = patience
        self.name = f"t-{uuid4().hex[:8]}"
        self._files = run_dir
        self._dnsmasq: subprocess.Popen[bytes] | None = None
        self._given = 0

    def up(self) -> None:
        Path("/run/netns").mkdir(exist_ok=True)
        Path("/run/netns", self.name).touch()
        subprocess.run(["unshare", f"--net=/run/netns/{self.name}", "true"], check=True)
        # With an address of its own: a bridge without takes over a port's, and another when that goes.
        for command in (
            "link set lo up",
            "link add br0 address 02:00:00:00:01:00 type bridge",
            "link set br0 up",
            f"address add {GATEWAY}/24 dev br0",
        ):
            self.ip(*command.split())
        # Ask for an absent guest's MAC address again soon: what is asked too early must not cost a second each time.
        self.run(
            "sysctl", "-qw", "net.ipv4.neigh.br0.retrans_time_ms=20", "net.ipv4.neigh.br0.delay_first_probe_time=0"
        )
        (self._files / "hosts").mkdir()
        self.serve()

    def serve(self) -> None:
        """Start the DHCP server; as in a router, it knows every guest and gives nothing to a stranger."""
        self._dnsmasq = subprocess.Popen(
            [
                *self._enter,
                *(
                    "dnsmasq",
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                    "--user=",
                    "--group=",
                    "--no-hosts",
                    "--no-resolv",
                ),
                *(
                    "--port=0",
                    "--bind-interfaces",
                    "--interface=br0",
                    "--except-interface=lo",
                    "--domain=guests.test",
                    "--no-ping",
                ),
                *("--dhcp-range=10.9.0.0,static,255.255.255.0,120s", f"--dhcp-option=option:dns-server,{GATEWAY}"),
                *(
                    "--dhcp-authoritative",
                    f"--dhcp-hostsdir={self._files / 'hosts'}",
                    f"--log-facility={self._files / 'dhcp.log'}",
                ),
                *(f"--dhcp-leasefile={self._files / 'leases'}", f"--pid-file={self._files / 'pid'}"),
            ]
        )
        eventually((self._files / "pid").exists)

    def serve_no_longer(self) -> None:
        if self._dnsmasq is not None:
            self._dnsmasq.kill()
            self._dnsmasq.wait()
            (self._files / "pid").unlink(missing_ok=True)

    def down(self) -> None:
        self.serve_no_longer()
        subprocess.run(["umount", "-l", f"/run/netns/{self.name}"], check=False)
        Path("/run/netns", self.name).unlink(missing_ok=True)

    @property
    def dhcp_log(self) -> str:
        return (self._files / "dhcp.log").read_text()

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", "--"]

    def run(self, *argv: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self._enter, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}"
        return done.stdout

    def ip(self, *argv: str) -> str:
        return self.run("ip", *argv)

    # ------------------------------------------------------------------------------------------------- guests and ports

    def guest(self, name: str = "web-1", nics: int = 1, image: str = "web") -> InstanceIntent:
        """An instance whose ports are in place and whom the DHCP server knows."""
        made = InstanceIntent(InstanceId(str(uuid4())), 1, name, image, tuple(self._nic() for _ in range(nics)))
        for nic in made.nics:
            self.wire(nic)
        return made

    def _nic(self) -> GuestNic:
        self._given += 1
        nic = GuestNic(NicId(str(uuid4())), NetworkId(str(uuid4())), f"02:00:00:00:00:{self._given:02x}", 1400)
        # Watched by dnsmasq: a new file is read at once.
        (self._files / "hosts" / nic.id).write_text(f"{nic.mac},{self.address(nic)},host-{self._given}\n")
        eventually(lambda: nic.id in self.dhcp_log)
        return nic

    def address(self, nic: GuestNic) -> str:
        return f"10.9.0.{100 + int(nic.mac[-2:], 16)}"

    def another(self, run_dir: Path) -> "Host":
        """A second host on this machine, for guests of the same driver."""
        return Host(run_dir, self.ports, self.patience)

    def wire(self, nic: GuestNic) -> None:
        if self.ports is PortKind.TAP:
            self.ip("tuntap", "add", "dev", port_name(nic.id), "mode", "tap")
        else:
            self.ip("link", "add", port_name(nic.id), "type", "veth", "peer", "name", guest_end_name(nic.id))
        self.ip("link", "set", port_name(nic.id), "master", "br0", "up")

    def unwire(self, nic: GuestNic) -> None:
        self.ip("link", "delete", port_name(nic.id))

    def device(self, name: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = [
            link for link in json.loads(self.ip("-json", "link", "show")) if link["ifname"] == name
        ]
        return found[0] if found else None

    def is_waiting(self, nic: GuestNic) -> bool:
        """Whether a port waits for a guest: in place, its other end where it was, and without carrier."""
        end = guest_end_name(nic.id) if self.ports is PortKind.VETH else port_name(nic.id)
        port = self.device(port_name(nic.id))
        is_plugged = port is None or port.get("master") != "br0" or self.device(end) is None
        return not is_plugged and not self.has_carrier(nic)

    def has_carrier(self, nic: GuestNic) -> bool:
        port = self.device(port_name(nic.id))
        return port is not None and "LOWER_UP" in port["flags"]

    # ------------------------------------------------------------------------------------------------ what guests answer

    def http(self, nic: GuestNic) -> str:
        """What the guest's web server says; an empty text if it does not answer."""
        argv = ["timeout", "0.3", "busybox", "wget", "-Y", "off", "-q", "-O", "-", f"http://{self.address(nic)}/"]
        done = subprocess.run(
            [*self._enter, *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def answers(self, nic: GuestNic) -> str:
        return eventually(lambda: self.http(nic), self.patience)

    def talk(self, nic: GuestNic) -> "Talk":
        return Talk([*self._enter, "busybox", "nc", self.address(nic), "7"])


class Talk:
    """A connection to a guest's echo service, to see whether it lasts."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._nc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._nc.kill()
        self._nc.communicate()

    def echoes(self, text: str) -> bool:
        assert self._nc.stdin is not None
        assert self._nc.stdout is not None
        self._nc.stdin.write(text + "\n")
        self._nc.stdin.flush()
        return self._nc.stdout.readline() == text + "\n"
