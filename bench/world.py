"""A small world in network namespaces of its own: a host, what lies outside its uplink, and a guest's side.

    guest -- bridge [ host ] ext0 ..... eth0 [ outside ]

Only in a sandbox: the names of namespaces are taken as if nobody else had any.
"""

import contextlib
import os
import signal
import subprocess
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Self

from mooring.sandbox import inside

NETNS = Path("/run/netns")
UPLINK_INTERFACE = "ext0"
# RFC 2544 set this prefix aside for benchmarks; 131,072 addresses are room for 100,000 floating IPs.
POOL = IPv4Network("198.18.0.0/15")
OUTSIDE = IPv4Address("198.18.0.1")
ROUTER = IPv4Address("198.18.0.2")
FIRST_PUBLIC, LAST_PUBLIC = IPv4Address("198.18.1.0"), IPv4Address("198.19.255.254")
GUESTS = IPv4Network("10.0.0.0/14")
GATEWAY = IPv4Address("10.0.0.1")
FIRST_PRIVATE = IPv4Address("10.0.1.0")


def ip(*arguments: str) -> str:
    """Run ip(8)."""
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def at(namespace: str, *command: str) -> list[str]:
    """Return a command that runs in a namespace."""
    return ["nsenter", f"--net={NETNS / namespace}", *command]


class World:
    """Namespaces NAME-host and NAME-outside with a wire between them; leaving it ends all that runs in any namespace."""

    def __init__(self, name: str = "bench") -> None:
        check_sandbox()
        self.host, self.outside = f"{name}-host", f"{name}-outside"

    def __enter__(self) -> Self:
        try:
            for name in (self.host, self.outside):
                add_namespace(name)
            ip("-n", self.host, "link", "add", UPLINK_INTERFACE, "type", "veth", "peer", "eth0", "netns", self.outside)
            ip("-n", self.host, "link", "set", UPLINK_INTERFACE, "up")
            ip("-n", self.outside, "addr", "add", str(IPv4Interface((OUTSIDE, POOL.prefixlen))), "dev", "eth0")
            ip("-n", self.outside, "link", "set", "eth0", "up")
        except BaseException:
            sweep()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sweep()


def check_sandbox() -> None:
    """Make sure that nobody else's namespaces are here.

    Raises:
        RuntimeError: this is no sandbox.
    """
    if not inside():
        raise RuntimeError("benchmarks run in a sandbox: make bench NAME=..., or mooring sandbox -- python -m bench...")


def add_namespace(name: str) -> None:
    """Make a namespace with its loopback device up."""
    path = NETNS / name
    path.touch()
    # Not `ip netns add`: that wants to come back into the namespace that it left, which an ordinary user may not.
    subprocess.run(["unshare", f"--net={path}", "true"], check=True, timeout=30)
    ip("-n", name, "link", "set", "lo", "up")


def sweep() -> None:
    """End every process in every named namespace, and the namespaces: in a sandbox all of them are ours."""
    for path in NETNS.iterdir():
        pids = subprocess.run(
            ["ip", "netns", "pids", path.name], capture_output=True, text=True, timeout=60, check=False
        )
        for pid in pids.stdout.split():
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["umount", "--lazy", str(path)], check=False, timeout=60, capture_output=True)
        path.unlink(missing_ok=True)
