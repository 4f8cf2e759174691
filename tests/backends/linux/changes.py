"""Makes a host with so many guests, and then one change after the other, each between two words on standard error for whoever counts.

    python -m tests.backends.linux.changes GUESTS RUN

Every guest has two floating IPs, prefers among them, has a forwarded port, and is filtered.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from mooring.compile import filters
from mooring.compile.facts import HostState, Stage, diff
from mooring.compile.host import compile_host
from mooring.model.ids import NicId
from mooring.model.subjects import (
    Egress,
    EgressPreference,
    HostRole,
    NicAddress,
    NicFilter,
    NicIntent,
    PortForwarding,
    PublicAddress,
    Transport,
)
from tests.backends.lab import Lab
from tests.compile.small import RED, nic
from tests.compile.uplinks import three
from tests.compile.walled import OPEN, walled
from tests.strategies import uplink_id, uuid, way_out

SET = 7
PREFIXES = [IPv4Network("0.0.0.0/0"), IPv4Network("192.0.2.0/24")]
ALLOWED = IPv4Address("10.9.9.9")
AFTERWARDS = 1.0
"""Seconds in which what follows a change is over: flows are looked for again."""


def guest(number: int, *, turn: int = 0, ports: int = 1, extra: tuple[IPv4Address, ...] = ()) -> NicIntent:
    """Return a guest; `turn` leads its second preference elsewhere."""
    own = IPv4Address("10.8.0.0") + number
    public = tuple(PublicAddress(IPv4Address(f"203.{side}.0.0") + number, uplink_id(side)) for side in range(2))
    told = tuple(EgressPreference(prefix, way_out(public[at * turn])) for at, prefix in enumerate(PREFIXES))
    many = PublicAddress(IPv4Address("203.0.200.1"), uplink_id(0))
    forwards = tuple(PortForwarding(many, Transport.TCP, port, port, 22) for port in range(number, number + ports))
    made = nic(NicId(uuid("d", 1000 + number)), RED, str(own))
    return replace(
        made,
        shared=(),
        addresses=(NicAddress(own, public, Egress(SET, told), forwards),),
        filter=NicFilter((1,), extra),
    )


def state(*guests: NicIntent) -> HostState:
    """Return what the host has: all of the router, and of each guest's port what is an element."""
    cloud, fences = three(), walled(OPEN)
    (router,) = cloud.routers
    sides = tuple(
        replace(side, prefixes=(*side.prefixes, IPv4Network(f"203.{at}.0.0/16")))
        for at, side in enumerate(router.uplinks)
    )
    whole = replace(cloud, routers=(replace(router, uplinks=sides),), networks=fences.networks, groups=fences.groups)
    roles = (HostRole.GATEWAY, HostRole.MEMBER)
    found = dict(compile_host([*whole.placed, *((each, role) for each in guests for role in roles)]))
    of_ports = (fact for each in guests for fact in filters.nic(each) if fact.key.table.stage is Stage.ELEMENT)
    return {**found, **{fact.key: fact.value for fact in of_ports}}


def changes(number: int) -> Iterator[tuple[str, NicIntent]]:
    """Return what becomes of one guest, by turns."""
    plain = guest(number)
    yield "forward", guest(number, ports=2)
    yield "forward no more", plain
    yield "prefer", guest(number, turn=1)
    yield "prefer otherwise", plain
    yield "allow", guest(number, extra=(ALLOWED,))
    yield "disallow", plain


def main() -> None:
    """Make all of them twice, for what is done the first time only."""
    others, run = int(sys.argv[1]), Path(sys.argv[2])
    lab = Lab(run, uplinks=3)
    try:
        known = [guest(number) for number in range(1, others + 1)]
        now = state(*known, guest(others + 1))
        lab.settle(now)
        for turn in range(2):
            for name, changed in changes(others + 1):
                then = state(*known, changed)
                delta = diff(now, then)
                time.sleep(AFTERWARDS)
                os.write(2, f"<{turn} {name}>\n".encode())
                lab.backend.apply(delta)
                os.write(2, b"<end>\n")
                now = then
        if lab.backend.read() != now:
            raise SystemExit("the kernel does not hold what was applied")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
