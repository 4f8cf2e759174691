"""What we say to a dnsmasq in the words of its guests: questions that it answers when it is done, and leases given back."""

import secrets
import socket
import struct
from ipaddress import IPv4Address

import structlog

from mooring.backends.linux.netns import Inside

_log = structlog.get_logger(__name__)

_DNS, _DHCP = 53, 67
_RELEASE = 7
_PATIENCE = 5.0


def settle(inside: Inside, server: IPv4Address) -> None:
    """Wait until a server has done what a signal told it.

    It looks at a signal between two packets, and may have begun a round of packets when the signal came.  So it is asked twice: when
    it answers the first time it has had the signal, and when it answers the second time it has done it.
    """

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(_PATIENCE)
            udp.connect((str(server), _DNS))
            for _ in range(2):
                number = secrets.token_bytes(2)
                udp.send(number + struct.pack("!HHHHH", 0, 1, 0, 0, 0) + _NAME + struct.pack("!HH", 1, 1))
                while udp.recv(512)[:2] != number:
                    pass

    try:
        inside.run(ask)
    except OSError as error:
        _log.warning("dnsmasq did not answer; it takes its new entries later", server=str(server), reason=str(error))


def release(inside: Inside, device: str, server: IPv4Address, address: IPv4Address, mac: str) -> None:
    """Send a DHCPRELEASE (RFC 2131) to a server in the same namespace: dnsmasq forgets leases only so.

    Bound to the device, the packet goes by the loopback but seems to have come in by that device, as the server wants it.
    """

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            udp.sendto(_packet(server, address, bytes.fromhex(mac.replace(":", ""))), (str(server), _DHCP))

    inside.run(send)


_NAME = b"\x07mooring\x08internal\x00"


def _packet(server: IPv4Address, address: IPv4Address, mac: bytes) -> bytes:
    head = struct.pack("!BBBBIHH4s12x", 1, 1, 6, 0, secrets.randbits(32), 0, 0, address.packed)
    options = b"\x63\x82\x53\x63" + bytes((53, 1, _RELEASE, 54, 4)) + server.packed + b"\xff"
    return (head + mac.ljust(16, b"\0") + bytes(192) + options).ljust(300, b"\0")
