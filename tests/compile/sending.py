"""Packets to send on the small host, and the host with something missing."""

from ipaddress import IPv4Address

from mooring.compile.facts import Key, Place, PlaceKind
from mooring.compile.journey import FromGuest, FromUplink, Header, IpProtocol, Packet
from mooring.model.ids import uplink_name
from tests.compile.small import FIRST, RED, ROUTER, small
from tests.strategies import uplink_id

CLOUD = small()
STATE = dict(CLOUD.state)
PLACE = Place(PlaceKind.ROUTER, ROUTER)
UPLINK = uplink_name(uplink_id(0))
OUTSIDE = FromUplink(UPLINK)
STRAIGHT = FromUplink(UPLINK, ROUTER)

ALICE_IP, BOB_IP, CAROL_IP, CAROLS_SECOND, DAVE_IP = (
    IPv4Address(text) for text in ("10.0.1.3", "10.0.1.4", "10.0.2.3", "10.0.2.33", "10.0.2.4")
)
OWN, STRANGER, NEIGHBOUR = IPv4Address("198.51.100.2"), IPv4Address("192.0.2.77"), IPv4Address("198.51.100.77")
NOBODY, EVERYBODY = IPv4Address(0), IPv4Address("255.255.255.255")


def packet(src, dst, entry) -> Packet:
    return Packet(Header(IpProtocol.ICMP, IPv4Address(src), IPv4Address(dst)), entry)


def udp(src, dst, entry, port) -> Packet:
    return Packet(Header(IpProtocol.UDP, IPv4Address(src), IPv4Address(dst), 40000, port), entry)


def tcp(src, dst, entry, port) -> Packet:
    return Packet(Header(IpProtocol.TCP, IPv4Address(src), IPv4Address(dst), 40000, port), entry)


def without(*keys: Key):
    for key in keys:
        assert key in STATE
    return {key: value for key, value in STATE.items() if key not in keys}


def key(table, *row) -> Key:
    return Key(table, PLACE, row)


INBOUND = tcp(STRANGER, FIRST.address, OUTSIDE, 80)
OUTBOUND = tcp(ALICE_IP, STRANGER, FromGuest(RED), 80)
HAIRPIN = tcp(BOB_IP, FIRST.address, FromGuest(RED), 80)
TO_ITSELF = packet(ALICE_IP, FIRST.address, FromGuest(RED))
