"""Nouns, subjects and faults as values: what they say of themselves, and that they hold still."""

from dataclasses import FrozenInstanceError, fields
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model.accounts import Caller, Project, Role, User
from mooring.model.faults import Conflict, Exhausted, Fault, InUse, Invalid, NotFound, QuotaExceeded, Unavailable
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import AddressRange
from mooring.model.subjects import SubjectKey, SubjectKind
from tests.strategies import clouds

ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(ADDRESSES, ADDRESSES, ADDRESSES)
def test_a_range_holds_its_ends_and_what_lies_between(one, other, third):
    first, last = sorted((one, other))
    some = AddressRange(first, last)
    assert first in some
    assert last in some
    assert (third in some) is (first <= third <= last)
    assert str(some) == f"{first}-{last}"


@pytest.mark.parametrize("last, count", [("10.0.0.0", 1), ("10.0.0.255", 256), ("10.255.255.255", 2**24)])
def test_a_range_counts_its_addresses(last, count):
    assert len(AddressRange(IPv4Address("10.0.0.0"), IPv4Address(last))) == count


def test_only_the_role_makes_an_admin():
    def caller(*roles: Role) -> Caller:
        return Caller(User(UserId("u"), "admin"), Project(ProjectId("p"), "admin"), frozenset(roles))

    assert caller(Role.ADMIN, Role.MEMBER).is_admin
    assert not caller(Role.MEMBER, Role.READER).is_admin
    assert not caller().is_admin


@given(clouds())
def test_subjects_are_values(cloud):
    for subject, _ in cloud.placed:
        assert hash(subject) == hash(subject)
        assert subject == subject.__class__(*(getattr(subject, field.name) for field in fields(subject)))
        with pytest.raises(FrozenInstanceError):
            subject.generation = 2
        assert str(subject.key) == f"{subject.key.kind}/{subject.id}"
    keys = [subject.key for subject, _ in cloud.placed]
    assert sorted(keys) == sorted(keys, key=lambda key: (key.kind.value, key.id))


def test_keys_of_different_kinds_differ():
    assert len({SubjectKey(kind, "x") for kind in SubjectKind}) == len(SubjectKind)


@pytest.mark.parametrize(
    "fault, reason, field",
    [
        (NotFound("Network", "n1"), "Network n1 could not be found.", None),
        (Invalid("cidr", "is no network"), "cidr: is no network", "cidr"),
        (InUse("Pool", "p1", "2 addresses"), "Pool p1 is in use by 2 addresses.", None),
        (QuotaExceeded("floating_ips", 10), "Quota exceeded for floating_ips: the limit is 10.", None),
        (Exhausted("No more addresses are available."), "No more addresses are available.", None),
        (Unavailable("The controller is away.", detail="nats: no servers"), "The controller is away.", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_a_fault_says_what_a_person_can_act_on(fault, reason, field):
    assert (fault.reason, str(fault), fault.field) == (reason, reason, field)


def test_what_is_for_the_log_stays_out_of_the_message():
    fault = Conflict("The address is taken.", detail="row 17 of project secret")
    assert "secret" not in str(fault)
    assert "secret" not in repr(fault)
    assert fault.detail == "row 17 of project secret"


def test_in_use_is_a_conflict():
    assert isinstance(InUse("Pool", "p", "x"), Conflict)
