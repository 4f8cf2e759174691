"""What administrators and owners change around a floating IP, with real packets: more addresses in a pool, another name of a guest."""

import stat
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.demos.stage import OUTSIDE
from mooring.model.nouns import AddressRange
from tests.journeys.town import Town

pytestmark = pytest.mark.kernel

_ADDED = IPv4Address("198.51.100.201")


def test_an_address_that_a_pool_gained(town: Town) -> None:
    guest = town.boot("web")
    ranges, everything = town.operations.ranges, town.operations.pools.listing(town.admin)[0].ranges[0]
    in_use = [each.address for each in ranges.addresses(town.admin, 1000) if each.floating is not None]
    spare = AddressRange(max([everything.first, *in_use]) + 1, everything.last)
    ranges.remove(town.admin, spare)
    ranges.add(town.admin, AddressRange(_ADDED, _ADDED))
    floating = town.operations.addresses.allocate(town.demo, None)
    assert floating.address == _ADDED
    town.operations.addresses.associate(town.demo, guest, _ADDED)
    assert town.answers(_ADDED)
    # For who comes after.
    ranges.add(town.admin, spare)


def test_a_guest_that_is_called_otherwise_goes_on(town: Town, tmp_path: Path) -> None:
    guest = town.boot("first")
    address = town.float_to(guest)
    town.operations.instances.rename(town.demo, guest, "second")
    assert town.answers(address)
    page = town.at(OUTSIDE, "busybox", "wget", "-q", "-O", "-", f"http://{address}/")
    assert "first" in page
    # What it is told when it next asks for its address.
    told = tmp_path / "told"
    told.write_text('#!/bin/sh\n[ "$1" = bound ] && echo "called $hostname"\nexit 0\n')
    told.chmod(told.stat().st_mode | stat.S_IEXEC)
    assert "called second" in town.inside(guest, "busybox", "udhcpc", "-n", "-q", "-f", "-i", "eth0", "-s", str(told))
