"""What each kind of subject makes true, as text; and that one change costs the same whatever else exists."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.compile.facts import diff, lines, patched, union
from mooring.compile.host import facts_of
from mooring.model.ids import InstanceId
from mooring.model.subjects import GuestNic, HostRole, InstanceIntent, Subject
from tests.compile.small import ALICE, BOB, CAROL, DAVE, FIRST, FREE, RED, SECOND, small
from tests.strategies import mac, uuid

CLOUD = small()
NICS = {nic.id: nic for nic in CLOUD.nics}
SUBJECTS: list[tuple[str, Subject, HostRole]] = [
    ("network", CLOUD.networks[0], HostRole.COMPUTE),
    ("network", CLOUD.networks[0], HostRole.GATEWAY),
    ("router", CLOUD.routers[0], HostRole.GATEWAY),
    ("router-joined", replace(CLOUD.routers[0], joined=True), HostRole.GATEWAY),
    ("nic-compute", NICS[ALICE], HostRole.COMPUTE),
    ("nic-floating", NICS[ALICE], HostRole.GATEWAY),
    ("nic-shared", NICS[BOB], HostRole.GATEWAY),
    ("nic-secondary", NICS[CAROL], HostRole.GATEWAY),
    ("nic-isolated", NICS[DAVE], HostRole.GATEWAY),
]


def text(facts) -> str:
    return "".join(f"{line}\n" for line in lines(union(facts)))


@pytest.mark.parametrize(
    "name, subject, role", SUBJECTS, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_a_subject_makes_true(name, subject, role, golden):
    golden(f"{name}.txt", text(facts_of(subject, role)))


@pytest.mark.parametrize("role", HostRole)
def test_an_instance_adds_nothing_to_the_network(role):
    guest = GuestNic(ALICE, RED, mac(0xD0, 0), 1500)
    assert not list(facts_of(InstanceIntent(InstanceId(uuid("e", 0)), 1, "web", "tiny", (guest,)), role))


def test_a_nic_that_has_no_address_yet_is_a_port_and_no_more():
    unborn = replace(NICS[ALICE], addresses=())
    assert not list(facts_of(unborn, HostRole.GATEWAY))
    assert list(facts_of(unborn, HostRole.COMPUTE)) == list(facts_of(NICS[ALICE], HostRole.COMPUTE))


def test_a_whole_host(golden):
    golden("host.txt", "".join(f"{line}\n" for line in lines(CLOUD.state)))


CHANGES = [
    # Alice's second address comes with ownership, a way in and a pair; she goes on leaving as the first.
    ("associate-another", CLOUD, CLOUD.associated(FREE, ALICE, IPv4Address("10.0.1.3")), 3),
    # Bob left as the router: his source and the face he shows neighbours change.
    ("associate", CLOUD, CLOUD.associated(FREE, BOB, IPv4Address("10.0.1.4")), 3 + 2 * 2),
    # Dave had no way out at all.
    ("associate-isolated", CLOUD, CLOUD.associated(FREE, DAVE, IPv4Address("10.0.2.4")), 6),
    ("disassociate", CLOUD, CLOUD.without(FIRST), 3 + 2 * 2),
    # One owner all the time; both guests change how they leave.
    ("move", CLOUD, CLOUD.associated(FIRST, BOB, IPv4Address("10.0.1.4")), 2 + 2 + 2 * 2 * 2),
    # Between two addresses of one NIC.
    ("move-within", CLOUD, CLOUD.associated(SECOND, CAROL, IPv4Address("10.0.2.3")), 2 + 2 + 2 * 2 * 2),
]


@pytest.mark.parametrize("name, before, after, size", CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_is_so_many_lines(name, before, after, size, golden):
    delta = diff(before.state, after.state)
    golden(f"delta-{name}.txt", str(delta))
    assert len(delta.put) + len(delta.drop) == size
    assert len(str(delta).splitlines()) == size
    assert patched(before.state, delta) == after.state


@pytest.mark.parametrize("others", [1, 60])
@pytest.mark.parametrize("name, before, after, size", CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_is_the_same_whoever_else_is_there(name, before, after, size, others):
    crowd = small(others=others).nics[len(CLOUD.nics) :]
    assert len(crowd) == others
    crowded = diff(
        replace(before, nics=(*before.nics, *crowd)).state,
        replace(after, nics=(*after.nics, *crowd)).state,
    )
    assert str(crowded) == str(diff(before.state, after.state))
    assert len(crowded.put) + len(crowded.drop) == size


def test_the_generation_makes_nothing_true():
    """A host that is told the same again has nothing to do."""
    for _, subject, role in SUBJECTS:
        assert list(facts_of(replace(subject, generation=99), role)) == list(facts_of(subject, role))
