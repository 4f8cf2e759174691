"""Tells neighbours on an uplink where an address is now: gratuitous ARP, as a request, which all of them heed.

A reply does it only where sender's and target's hardware address are the same, and only after Linux's lock of one second.
"""

import fcntl
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address

from mooring.backends.linux.netns import Inside

_ETH_P_ARP = 0x0806
_SIOCGIFHWADDR = 0x8927
_BROADCAST = b"\xff" * 6


class Announcer:
    """A socket for frames in one namespace; it stays open, for closing one makes the kernel wait for all processors."""

    def __init__(self, inside: Inside) -> None:
        # Protocol 0: it sends and never receives.
        self._socket = inside.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))

    def close(self) -> None:
        self._socket.close()

    def saying(self, device: str, address: IPv4Address) -> Callable[[], bool]:
        """Return what sends one gratuitous ARP request, and says whether the device took it: it may be down or gone."""

        def say() -> bool:
            try:
                reply = fcntl.ioctl(self._socket, _SIOCGIFHWADDR, struct.pack("16s24x", device.encode()))
                self._socket.sendto(request(reply[18:24], address, address), (device, _ETH_P_ARP))
            except (OSError, ValueError):  # ValueError: the socket was closed meanwhile
                return False
            return True

        return say


def request(mac: bytes, source: IPv4Address, target: IPv4Address) -> bytes:
    """Return an ARP request as a frame: whoever has `source`, at `mac`, asks all for `target`."""
    head = _BROADCAST + mac + struct.pack("!HHHBBH", _ETH_P_ARP, 1, 0x0800, 6, 4, 1)
    return (head + mac + source.packed + bytes(6) + target.packed).ljust(60, b"\0")
