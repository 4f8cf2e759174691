"""Several routers on one provider's wire, with real packets: each answers for its own and reaches the others'."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from mooring.model.ids import NetworkId, NicId, RouterId
from mooring.model.subjects import (
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    PublicAddress,
    RouterIntent,
    RouterPort,
    Subject,
)
from tests.backends.linux.hosts import ISP, Hosts, owners
from tests.strategies import mac, pool, provider, router_uplink, uplink_id, uuid

pytestmark = pytest.mark.kernel

FIRST, SECOND, FREE = (public.address for public in pool(0)[:3])
WIRE = [provider(0).network_address + offset for offset in range(1, 64)]


@dataclass
class Side:
    """A router on a host with a guest behind it; all guests have one address, each in its own network."""

    hosts: Hosts
    number: int
    host: int
    alone: bool = False
    floating: list[IPv4Address] = field(default_factory=list)

    @property
    def router(self) -> RouterId:
        return RouterId(uuid("b", self.number))

    @property
    def network(self) -> NetworkId:
        return NetworkId(uuid("a", self.number))

    @property
    def own(self) -> IPv4Address:
        return router_uplink(self.number, 0).address.ip

    @property
    def mac(self) -> str:
        return router_uplink(self.number, 0).mac

    def nic(self) -> NicIntent:
        floating = tuple(PublicAddress(address, uplink_id(0)) for address in self.floating)
        fixed = NicAddress(IPv4Address("10.0.0.11"), floating)
        shared = (PublicAddress(self.own, uplink_id(0)),)
        return NicIntent(
            NicId(uuid("d", self.number)), 1, self.network, self.router, mac(0xD0, 1), "guest", (fixed,), shared
        )

    def placed(self) -> list[tuple[Subject, HostRole]]:
        port = RouterPort(self.network, mac(0xA0, self.number), IPv4Interface("10.0.0.1/24"), (), 1500, 3600)
        uplink = replace(router_uplink(self.number, 0), alone=self.alone)
        return [
            (NetworkIntent(self.network, 1, 1500), HostRole.GATEWAY),
            (RouterIntent(self.router, 1, (port,), (uplink,)), HostRole.GATEWAY),
            (self.nic(), HostRole.GATEWAY),
            (self.nic(), HostRole.COMPUTE),
        ]


class Street:
    """Two routers on one wire, on hosts of their own or on one."""

    def __init__(self, hosts: Hosts, places: tuple[int, int]) -> None:
        self.hosts = hosts
        self.sides = [Side(hosts, number, place) for number, place in enumerate(places)]
        self.settle()
        self.guests = [hosts.guest(side.host, side.nic(), IPv4Address("10.0.0.1")) for side in self.sides]

    def settle(self) -> None:
        for host in {side.host for side in self.sides}:
            self.hosts.settle(host, [each for side in self.sides if side.host == host for each in side.placed()])

    def owners(self) -> dict[IPv4Address, set[str]]:
        found = owners(self.hosts.labs[0], self.hosts.outside, "sw0", WIRE)
        found.pop(ISP, None)
        return found


@pytest.fixture(params=[(0, 1), (0, 0)], ids=["on two hosts", "on one host"])
def street(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Street]:
    tmp_path.chmod(0o755)
    hosts = Hosts(Path("/run") / tmp_path.name, 2)
    try:
        yield Street(hosts, request.param)
    finally:
        hosts.close()


def test_guests_behind_different_routers_meet_by_floating_ips(street: Street) -> None:
    one, other = street.sides
    one.floating, other.floating = [FIRST], [SECOND]
    street.settle()
    assert street.hosts.ask(street.guests[0], SECOND) == (street.guests[1], str(FIRST))
    assert street.hosts.ask(street.guests[1], FIRST) == (street.guests[0], str(SECOND))
    assert street.hosts.ask(street.guests[0], FIRST) == (street.guests[0], str(FIRST)), "one's own"
    assert street.hosts.ask(street.hosts.outside, SECOND) == (street.guests[1], str(ISP))


def test_a_guest_without_one_is_seen_as_its_router(street: Street) -> None:
    one, other = street.sides
    other.floating = [SECOND]
    street.settle()
    assert street.hosts.ask(street.guests[0], SECOND) == (street.guests[1], str(one.own))
    assert street.hosts.ask(street.guests[0], FREE) is None, "nobody has that"
    assert street.hosts.ask(street.guests[0], ISP) == (street.hosts.outside, str(one.own))


def test_each_router_answers_for_its_own_and_nobody_for_the_rest(street: Street) -> None:
    one, other = street.sides
    assert street.owners() == {one.own: {one.mac}, other.own: {other.mac}}
    one.floating, other.floating = [FIRST], [SECOND]
    street.settle()
    both = {one.own: {one.mac}, other.own: {other.mac}, FIRST: {one.mac}, SECOND: {other.mac}}
    assert street.owners() == both
    one.floating, other.floating = [], [FIRST, SECOND]
    street.settle()
    assert street.owners() == {**both, FIRST: {other.mac}}


def test_an_address_that_moves_to_another_router_is_found_there_by_those_behind_the_rest(street: Street) -> None:
    one, other = street.sides
    other.floating = [SECOND]
    street.settle()
    assert street.hosts.ask(street.guests[0], SECOND) == (street.guests[1], str(one.own))
    one.floating, other.floating = [SECOND], []
    street.settle()
    assert street.hosts.ask(street.guests[1], SECOND) == (street.guests[0], str(other.own))
    one.floating, other.floating = [], [SECOND]
    street.settle()
    assert street.hosts.ask(street.guests[0], SECOND) == (street.guests[1], str(one.own))


def test_a_router_that_gets_company_goes_on_answering(street: Street) -> None:
    one, other = street.sides
    one.floating = [FIRST]
    for alone in (True, False, True):
        one.alone = alone
        street.settle()
        assert street.hosts.ask(street.hosts.outside, FIRST) == (street.guests[0], str(ISP))
        assert street.owners()[FIRST] == {one.mac}
        rules = street.hosts.labs[0].ip(f"mooring-r-{one.router}", "rule")
        assert ("lookup 900" in rules) is not alone, "a rule costs every packet something: none where it isn't needed"
    assert other.floating == []


def test_neighbours_hear_at_once_where_an_address_went(tmp_path: Path) -> None:
    """Three routers: the one that neither had the address nor gets it must not go on sending to the old one."""
    tmp_path.chmod(0o755)
    hosts = Hosts(Path("/run") / tmp_path.name, 3)
    try:
        sides = [Side(hosts, number, number) for number in range(3)]
        for side in sides:
            hosts.settle(side.host, side.placed())
        guests = [hosts.guest(side.host, side.nic(), IPv4Address("10.0.0.1")) for side in sides]
        for at in (1, 2, 1, 2):
            for side in sides:
                side.floating = [FREE] if side.number == at else []
            for side in sorted(sides, key=lambda side: side.number == at):  # it goes before it comes
                hosts.settle(side.host, side.placed())
            assert hosts.ask(guests[0], FREE) == (guests[at], str(sides[0].own))
    finally:
        hosts.close()
