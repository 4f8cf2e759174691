"""Ten thousand guests with ten prefixes each in the kernel: all of it is there as it was said, and a change is a change of what it says."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mooring.compile.facts import HostState, diff
from mooring.compile.host import compile_host
from mooring.compile.tables import CHOICES, CLASSES
from mooring.model.ids import NicId
from mooring.model.subjects import Egress, EgressPreference, HostRole, NicAddress, NicIntent, PublicAddress
from tests.backends.lab import Lab
from tests.compile.small import RED, nic
from tests.compile.uplinks import three
from tests.strategies import uplink_id, uuid, way_out

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

GUESTS, SETS, PREFIXES = 10_000, 100, 10


def among(number: int) -> list[IPv4Network]:
    """Return the prefixes of a set: everywhere, and some that hold each other."""
    base = int(IPv4Address("100.0.0.0")) + number * 0x1000
    return [IPv4Network("0.0.0.0/0"), *(IPv4Network((base, 20 + each)) for each in range(PREFIXES - 1))]


def guest(number: int, turn: int = 0) -> NicIntent:
    """Return a guest with an address of two providers, which it prefers in turn; `turn` leads its fourth preference elsewhere."""
    own = IPv4Address("10.8.0.0") + number
    public = tuple(PublicAddress(IPv4Address(f"203.{side}.0.0") + number, uplink_id(side)) for side in range(2))
    told = tuple(
        EgressPreference(prefix, way_out(public[(place + (turn if place == 3 else 0)) % 2]))
        for place, prefix in enumerate(among(number % SETS))
    )
    made = nic(NicId(uuid("d", 1000 + number)), RED, str(own))
    return replace(made, shared=(), addresses=(NicAddress(own, public, Egress(1 + number % SETS, told)),))


def test_ten_thousand_guests_are_loaded_and_changed(tmp_path: Path) -> None:
    cloud = three()
    router = cloud.routers[0]
    sides = tuple(
        replace(side, prefixes=(*side.prefixes, IPv4Network(f"203.{number}.0.0/16")))
        for number, side in enumerate(router.uplinks)
    )
    base = replace(cloud, routers=(replace(router, uplinks=sides),), nics=()).placed
    guests = {number: guest(number) for number in range(GUESTS)}

    def state() -> HostState:
        return compile_host([*base, *((each, HostRole.GATEWAY) for each in guests.values())])

    tmp_path.chmod(0o755)
    lab = Lab(Path("/run") / tmp_path.name, uplinks=3)
    try:
        full = state()
        assert sum(key.table is CHOICES for key in full) == GUESTS * PREFIXES
        assert sum(key.table is CLASSES for key in full) <= SETS * 2 * PREFIXES
        lab.settle(full)
        lab.restart()
        assert lab.backend.read() == full
        guests[77] = guest(77, turn=1)
        turned = state()
        change = diff(full, turned)
        assert len(change.put) == len(change.drop) == 1, "one element, however many others there are"
        lab.backend.apply(change)
        assert lab.backend.read() == turned
        del guests[5]
        gone = state()
        lab.backend.apply(diff(turned, gone))
        lab.restart()
        assert lab.backend.read() == gone
    finally:
        lab.close()
