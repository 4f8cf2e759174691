"""What a host with many NICs costs the compiler: `pytest -m slow -s tests/compile/test_scale.py` prints it."""

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from time import process_time

import pytest

from mooring.compile.facts import HostState, diff, lines
from mooring.compile.journey import FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.trace import round_trip
from mooring.model.ids import NicId, uplink_name
from mooring.model.subjects import NicAddress
from tests.compile.small import FIRST, RED, nic, small
from tests.strategies import Cloud, uplink_id, uuid

FEW, MANY = 1_000, 11_000  # NICs: 9 facts each, so the larger host has some 100,000


def crowded(count: int) -> Cloud:
    """Return the small cloud with so many NICs more, each with a floating IP."""
    others = []
    for number in range(count):
        address = IPv4Address("10.8.0.0") + number
        one = nic(NicId(uuid("d", 1000 + number)), RED, str(address))
        public = replace(FIRST, address=IPv4Address("203.0.0.0") + number)
        others.append(replace(one, addresses=(NicAddress(address, (public,)),)))
    cloud = small()
    (router,) = cloud.routers
    side = replace(router.uplinks[0], prefixes=(*router.uplinks[0].prefixes, IPv4Network("203.0.0.0/16")))
    return replace(cloud, routers=(replace(router, uplinks=(side,)),), nics=(*cloud.nics, *others))


def text(state: HostState) -> str:
    """Return a state as its golden file has it."""
    return "\n".join(lines(state))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of the quickest of some runs: others use the processor's caches, too."""
    runs = []
    for _ in range(7):
        gc.collect()
        start = process_time()
        work()
        runs.append(process_time() - start)
    return min(runs)


@pytest.mark.slow
def test_work_grows_with_the_number_of_facts_and_no_faster():
    figures: dict[str, list[float]] = {}
    sizes = []
    for count in (FEW, MANY):
        cloud = crowded(count)
        state, again = cloud.state, cloud.state
        sizes.append(len(state))
        packet = Packet(
            Header(IpProtocol.ICMP, IPv4Address("192.0.2.77"), IPv4Address("198.51.100.16")),
            FromUplink(uplink_name(uplink_id(0))),
        )
        assert round_trip(state, packet).there.outcome is Outcome.DELIVERED
        work: dict[str, Callable[[], object]] = {
            "compile": partial(getattr, cloud, "state"),
            "diff of equal states": partial(diff, state, again),
            "diff from nothing": partial(diff, {}, state),
            "text, sorted": partial(text, state),
            "trace, there and back": partial(round_trip, state, packet),
        }
        for name, run in work.items():
            figures.setdefault(name, []).append(seconds(run))
    factor = sizes[1] / sizes[0]
    print(f"\n{'ms of processor time':24}{sizes[0]:>10} facts{sizes[1]:>10} facts")
    for name, (few, many) in figures.items():
        print(f"{name:24}{few * 1000:>16.1f}{many * 1000:>16.1f}")
    for name, (few, many) in figures.items():
        assert many < 3 * factor * max(few, 0.001), name
