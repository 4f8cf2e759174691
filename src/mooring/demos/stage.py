"""A small world in network namespaces: one host that runs mooring, one provider, and one machine on the far side of it.

    guests --[ host ]--ext0 ..... 198.51.100.1 [ provider ] 192.0.2.1 ..... 192.0.2.10 [ outside ]

The prefixes are those that RFC 5737 reserves for documentation.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Self

from mooring import logs
from mooring.config import (
    AccountSettings,
    ApiSettings,
    HostSettings,
    IdentitySettings,
    NetworkSettings,
    QuotaSettings,
    Settings,
)
from mooring.lab.machine import forget
from mooring.main.node import Node
from mooring.model.accounts import Role
from mooring.model.nouns import NetworkKind
from mooring.sandbox import SandboxRefused, inside

HOST, PROVIDER, OUTSIDE = "host", "provider", "outside"
PUBLIC = IPv4Network("198.51.100.0/24")
PROVIDER_ADDRESS = IPv4Address("198.51.100.1")
OUTSIDE_ADDRESS = IPv4Address("192.0.2.10")
UPLINK_INTERFACE = "ext0"
TUNNELS = IPv4Address("203.0.113.1")
_NAMESPACES = Path("/run/netns")
_PORT = 8774


def ip(*arguments: str) -> None:
    """Run ip(8), which must succeed."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


class Places:
    """The namespaces of the world and the wires between them; leaving them removes everything.

    A world that is another has other `names`, and other wires between them.
    """

    names: Sequence[str] = (HOST, PROVIDER, OUTSIDE)

    def __init__(self) -> None:
        """Plan the world."""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Build the world.

        Raises:
            SandboxRefused: not in a sandbox, where all of it would be the machine's own.
        """
        if not inside():
            raise SandboxRefused("A world of namespaces is only built in a sandbox: mooring sandbox -- COMMAND.")
        try:
            self._stack.callback(_sweep)
            for name in self.names:
                self._namespace(name)
            self._wire()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the world."""
        self._stack.close()

    def _namespace(self, name: str) -> None:
        path = _NAMESPACES / name
        path.touch()
        # Not `ip netns add`: it needs to come back into the network namespace that it left, which an ordinary user may not.
        subprocess.run(["unshare", f"--net={path}", "true"], check=True, timeout=30)
        ip("-n", name, "link", "set", "lo", "up")

    def _wire(self) -> None:
        """Join the namespaces."""
        ip("-n", HOST, "link", "add", UPLINK_INTERFACE, "type", "veth", "peer", "name", "isp0", "netns", PROVIDER)
        ip("-n", PROVIDER, "link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns", OUTSIDE)
        ip("-n", HOST, "link", "set", UPLINK_INTERFACE, "up")
        ip("-n", PROVIDER, "addr", "add", f"{PROVIDER_ADDRESS}/{PUBLIC.prefixlen}", "dev", "isp0")
        ip("-n", PROVIDER, "addr", "add", f"{OUTSIDE_ADDRESS - 9}/24", "dev", "far0")
        ip("-n", OUTSIDE, "addr", "add", f"{OUTSIDE_ADDRESS}/24", "dev", "eth0")
        for namespace, device in ((PROVIDER, "isp0"), (PROVIDER, "far0"), (OUTSIDE, "eth0")):
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", OUTSIDE, "route", "add", "default", "via", str(OUTSIDE_ADDRESS - 9))
        self.set(PROVIDER, "net.ipv4.ip_forward", 1)

    def set(self, namespace: str, setting: str, value: int) -> None:
        """Change a kernel setting at a place of the world."""
        subprocess.run(self.at(namespace, "sysctl", "-qw", f"{setting}={value}"), check=True, timeout=30)

    def at(self, namespace: str, *command: str) -> Sequence[str]:
        """Return a command that runs at a place of the world."""
        return ("nsenter", f"--net={_NAMESPACES / namespace}", *command)


class Stage(Places):
    """The world of a story, with mooring running in it."""

    def __init__(self, home: Path, *, keep_port: bool) -> None:
        """Plan the world, with its log in a directory.  With `keep_port` the API takes its usual port if that is free, so that people find it."""
        super().__init__()
        # Not below /run, which only the sandbox sees: people want to read it.
        self.log = home / "log"
        self._keep_port = keep_port
        self.node: Node

    def __enter__(self) -> Self:
        """Build the world and start mooring in it."""
        super().__enter__()
        try:
            state = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mooring-", dir="/run")))
            # Daemons that run as nobody read their files below here.
            state.chmod(0o755)
            self._stack.callback(logs.configure, sys.stderr)
            logs.configure(self._stack.enter_context(self.log.open("a", encoding="utf-8")))
            self.node = self._stack.enter_context(Node(self._settings(state)))
        except BaseException:
            self._stack.close()
            raise
        return self

    def _settings(self, state: Path) -> Settings:
        self.password = "moored"
        return Settings(
            state_directory=state / "state",
            run_directory=state / "run",
            api=ApiSettings(port=free_port() if self._keep_port else 0),
            # There is no other host for its tunnels to lead to: networks that projects make are kept apart by them.
            host=HostSettings(name="host-1", namespace=HOST, endpoint=TUNNELS),
            networks=NetworkSettings(own_kind=NetworkKind.VXLAN),
            quotas=QuotaSettings(instances=50, floating_ips=50),
            identity=IdentitySettings(
                accounts=(
                    AccountSettings(user="admin", password=self.password, project="admin", role=Role.ADMIN),
                    AccountSettings(user="demo", password=self.password, project="demo", role=Role.MEMBER),
                )
            ),
        )

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return self.node.url

    def openrc(self, user: str = "demo") -> str:
        """Return what a shell needs to know to talk to this mooring as a user."""
        values = {**self.environment(user), "OS_COMPUTE_API_VERSION": "2.1", "OS_REGION_NAME": "RegionOne"}
        return "".join(f"export {name}={value}\n" for name, value in values.items())

    def environment(self, user: str) -> dict[str, str]:
        """Return the environment of a client that talks to this mooring as a user."""
        return {
            "OS_AUTH_URL": f"{self.node.url}/identity/v3",
            "OS_USERNAME": user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
        }


def _sweep() -> None:
    """End every process in every named network namespace, and the namespaces: in a sandbox all of them are ours.

    mooring itself leaves guests and routers running when it stops, as it must.
    """
    for path in _NAMESPACES.iterdir():
        listed = subprocess.run(
            ["ip", "netns", "pids", path.name], capture_output=True, text=True, timeout=30, check=False
        )
        for pid in listed.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        forget(path.name)


def free_port() -> int:
    """Return the API's usual port, or 0 for any if something has it."""
    with contextlib.closing(socket.socket()) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            return 0
    return _PORT
