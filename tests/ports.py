"""Ports of 127.0.0.1 for servers that must be told one before they start, and keep it when they start again."""

import secrets
import socket
from pathlib import Path

_LOWEST = 10_000


def free_port() -> int:
    """Return a TCP port that nobody has, and that the kernel gives to no outgoing connection meanwhile."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert first_given > _LOWEST
    for _ in range(100):
        port = _LOWEST + secrets.randbelow(first_given - _LOWEST)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise AssertionError(f"100 ports from {_LOWEST} to {first_given} were taken")
