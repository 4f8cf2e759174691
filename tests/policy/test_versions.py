"""Versions of things: others with every field, and the same in every process."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Key, Project, Role
from mooring.model.ids import KeyId, PoolId, ProjectId, UplinkId, UserId
from mooring.model.nouns import AddressPool, AddressRange
from mooring.policy.versions import version

SUBNET = IPv4Network("198.51.100.0/24")
POOL = AddressPool(PoolId("p"), "public", UplinkId("u"), SUBNET, SUBNET[1], (AddressRange(SUBNET[10], SUBNET[20]),))


def test_every_field_counts() -> None:
    others = [
        replace(POOL, name="other"),
        replace(POOL, public=False),
        replace(POOL, per_fixed=2),
        replace(POOL, gateway=IPv4Address("198.51.100.2")),
        replace(POOL, ranges=(AddressRange(SUBNET[10], SUBNET[21]),)),
        replace(POOL, ranges=(*POOL.ranges, AddressRange(SUBNET[30], SUBNET[31]))),
        Project(ProjectId("p"), "public"),
    ]
    assert len({version(each) for each in (POOL, *others)}) == len(others) + 1
    assert version(replace(POOL)) == version(POOL)
    assert len(version(POOL)) == 32


def test_texts_do_not_run_into_each_other() -> None:
    one = Project(ProjectId("p"), "a', description='b")
    other = Project(ProjectId("p"), "a", "b")
    assert version(one) != version(other)


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "from datetime import UTC, datetime\n"
        "from mooring.model.accounts import Key, Role\n"
        "from mooring.policy.versions import version\n"
        "print(version(Key('k', 'ci', 'u', 'p', frozenset(Role), datetime(2026, 1, 1, tzinfo=UTC))))"
    )
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    here = version(Key(KeyId("k"), "ci", UserId("u"), ProjectId("p"), frozenset(Role), moment))
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == here
