"""Frames, byte by byte: such as guests send, and such as they must not get away with."""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
IP, ARP, IP6, VLAN, QINQ = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
TCP, UDP, ICMP6, DESTINATION_OPTIONS, HOP_BY_HOP, FRAGMENT, NO_NEXT = 6, 17, 58, 60, 0, 44, 59


def raw(mac: str) -> bytes:
    """Return the bytes of a hardware address."""
    return bytes.fromhex(mac.replace(":", ""))


def ether(target: str, source: str, kind: int, payload: bytes, *tags: int) -> bytes:
    """Return a frame; each tag is the type of a tag of VLAN 0 around the payload."""
    types = b"".join(struct.pack("!HH", tag, 0) for tag in tags)
    return (raw(target) + raw(source) + types + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def llc(target: str, source: str, payload: bytes) -> bytes:
    """Return a frame that has its length where others have a type."""
    return (raw(target) + raw(source) + struct.pack("!H", len(payload)) + payload).ljust(60, b"\0")


def arp(operation: int, source: tuple[str, str], target: tuple[str, str], kind: int = 1) -> bytes:
    """Return an ARP packet between pairs of hardware address and address."""
    ends = b"".join(raw(mac) + IPv4Address(address).packed for mac, address in (source, target))
    return struct.pack("!HHBBH", kind, IP, 6, 4, operation) + ends


def ip(source: str, target: str, protocol: int, payload: bytes, fragment: int = 0, *, more: bool = False) -> bytes:
    """Return an IPv4 packet, or one fragment of it at an offset in bytes."""
    flags = (0x2000 if more else 0) | fragment // 8
    ends = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, flags, 64, protocol, 0)
    checked = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, flags, 64, protocol, checksum(head + ends))
    return checked + ends + payload


def udp(source: int, target: int, payload: bytes = b"hello", ends: Iterable[IPv6Address] = ()) -> bytes:
    """Return a UDP datagram; between IPv6 addresses it needs a checksum."""
    datagram = struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload
    pseudo = b"".join(end.packed for end in ends)
    if pseudo:
        found = checksum(pseudo + struct.pack("!II", len(datagram), UDP) + datagram) or 0xFFFF
        datagram = datagram[:6] + struct.pack("!H", found) + datagram[8:]
    return datagram


def ip6(source: str, target: str, protocol: int, payload: bytes, hops: int = 255) -> bytes:
    """Return an IPv6 packet."""
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + ends + payload


def options(protocol: int, payload: bytes) -> bytes:
    """Return an extension header of options that is only padding, and what follows."""
    return bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + payload


def fragment6(protocol: int, payload: bytes, offset: int = 0, *, more: bool = False) -> bytes:
    """Return a fragment header and what follows."""
    return struct.pack("!BBHI", protocol, 0, offset | more, 7) + payload


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """Return an ICMPv6 message with the checksum that it has between two addresses."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    found = checksum(ends + struct.pack("!II", len(message), ICMP6) + message)
    return message[:2] + struct.pack("!H", found) + message[4:]


def advertisement(source: str, target: str, about: str, mac: str) -> bytes:
    """Return a neighbour advertisement that overrides what was known."""
    return icmp6(source, target, 136, b"\x60\0\0\0" + IPv6Address(about).packed + b"\x02\x01" + raw(mac))


def solicitation(source: str, target: str, about: str) -> bytes:
    """Return a neighbour solicitation."""
    return icmp6(source, target, 135, b"\0\0\0\0" + IPv6Address(about).packed)


def router_advertisement(source: str, target: str, mac: str) -> bytes:
    """Return a router advertisement."""
    return icmp6(source, target, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\x01\x01" + raw(mac))


def checksum(data: bytes) -> int:
    """Return the sum that IP, UDP and ICMP have."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int(word) for word in struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
