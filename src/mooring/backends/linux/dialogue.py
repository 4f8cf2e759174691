"""Gives a lease back in a guest's name: dnsmasq forgets leases only so, and keeps an address from the next NIC until it does."""

import secrets
import socket
import struct
from ipaddress import IPv4Address

from mooring.backends.linux.netns import Inside

_SERVER_PORT = 67
_RELEASE = 7


def release(inside: Inside, device: str, server: IPv4Address, address: IPv4Address, mac: str) -> None:
    """Send a DHCPRELEASE (RFC 2131) to a server in the same namespace.

    Bound to the device, the packet goes by the loopback but seems to have come in by that device, as the server wants it.
    """

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            udp.sendto(_packet(server, address, bytes.fromhex(mac.replace(":", ""))), (str(server), _SERVER_PORT))

    inside.run(send)


def _packet(server: IPv4Address, address: IPv4Address, mac: bytes) -> bytes:
    head = struct.pack("!BBBBIHH4s12x", 1, 1, 6, 0, secrets.randbits(32), 0, 0, address.packed)
    options = b"\x63\x82\x53\x63" + bytes((53, 1, _RELEASE, 54, 4)) + server.packed + b"\xff"
    return (head + mac.ljust(16, b"\0") + bytes(192) + options).ljust(300, b"\0")
