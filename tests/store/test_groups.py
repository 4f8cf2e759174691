"""Security groups, rules and members: what a store refuses, and which hosts it tells of whom."""

from dataclasses import dataclass

import pytest

from mooring.model.groups import GroupName, GroupRule
from mooring.model.ids import GroupId, HostId, NicId, RuleId
from mooring.model.nouns import Quota, Resource
from mooring.model.records import Duplicate, NicRow, Referenced
from mooring.model.subjects import (
    Direction,
    FilterRule,
    GroupIntent,
    HostRole,
    NicFilter,
    NicIntent,
    Report,
    SubjectKey,
    SubjectKind,
)
from mooring.operations.interfaces import Transaction
from tests.store.world import Town, World

COMPUTE, MEMBER = HostRole.COMPUTE, HostRole.MEMBER
IN = Direction.INGRESS


def group(world: World, tx: Transaction, town: Town, name: str = "web") -> GroupId:
    made = GroupId(world.id())
    tx.groups.add(made, town.project.id, name, "what it is for")
    return made


def rule(world: World, tx: Transaction, owner: GroupId, remote: GroupId | None = None, port: int = 1) -> GroupRule:
    made = GroupRule(RuleId(world.id()), owner, IN, 4, 6, port, port, remote=remote)
    assert tx.groups.add_rule(made, -1)
    return made


def group_key(owner: GroupId) -> SubjectKey:
    return SubjectKey(SubjectKind.GROUP, owner)


def nic_key(nic: NicRow) -> SubjectKey:
    return SubjectKey(SubjectKind.NIC, nic.id)


@dataclass
class Square:
    """Two hosts with a filtered NIC each: `web` on the first, `db` on the second, each in a group named so."""

    town: Town
    hosts: tuple[HostId, HostId]
    web: GroupId
    db: GroupId
    nics: tuple[NicRow, NicRow]

    @classmethod
    def build(cls, world: World, tx: Transaction, town: Town) -> "Square":
        other = world.host(tx).id
        web, db = group(world, tx, town), group(world, tx, town, "db")
        nics = []
        for position, (host, owner) in enumerate(((town.host.id, web), (other, db))):
            instance = world.instance(tx, town.project, town.user, f"vm-{position}")
            row = NicRow(NicId(world.id()), instance, town.network.id, world.mac(), 0, filtered=True)
            tx.instances.add_nic(row)
            tx.instances.assign(instance, host)
            tx.deliveries.place(nic_key(row), host, COMPUTE)
            assert tx.groups.join(row.id, owner, -1)
            tx.groups.reach(host, [owner])
            nics.append(row)
        return cls(town, (town.host.id, other), web, db, (nics[0], nics[1]))


def has(tx: Transaction, host: HostId, subject: SubjectKey, role: HostRole) -> bool:
    return (host, role) in tx.deliveries.hosts(subject)


def test_a_group_and_its_rules_come_back(world, town):
    with world.store.write() as tx:
        web, db = group(world, tx, town), group(world, tx, town, "db")
        told = rule(world, tx, web, db, 22)
    with world.store.read() as tx:
        found = tx.groups.get(web)
        assert (found.id, found.name, found.description, found.project) == (
            web,
            "web",
            "what it is for",
            town.project.id,
        )
        (shown,) = found.rules
        assert (shown.id, shown.remote, shown.remote_name, shown.first) == (told.id, db, "db", 22)
        assert tx.groups.rule(told.id) == shown
        assert tx.groups.find(town.project.id, "web") == found
        assert [each.id for each in tx.groups.list(town.project.id)] == [web, db]
        assert [each.id for each in tx.groups.list(None)] == [web, db]
        assert tx.groups.find(town.project.id, "nowhere") is None
        assert tx.groups.get(GroupId("nowhere")) is None
        assert tx.groups.rule(RuleId("nowhere")) is None


def test_what_must_be_unique_is(world, town):
    with world.store.write() as tx:
        web, db = group(world, tx, town), group(world, tx, town, "db")
        with pytest.raises(Duplicate):
            tx.groups.add(GroupId(world.id()), town.project.id, "web", "")
        with pytest.raises(Duplicate):
            tx.groups.rename(db, "web", "")
        tx.groups.rename(db, "db", "another description")
        rule(world, tx, web)
        with pytest.raises(Duplicate):
            tx.groups.add_rule(GroupRule(RuleId(world.id()), web, IN, 4, 6, 1, 1), -1)
        assert tx.groups.join(town.nic.id, web, -1)
        with pytest.raises(Duplicate):
            tx.groups.join(town.nic.id, web, -1)
        elsewhere = world.project(tx)
        tx.groups.add(GroupId(world.id()), elsewhere.id, "web", "")
        # Nothing of what was refused is left, nor counted.
        assert len(tx.groups.get(web).rules) == 1
        tx.quotas.set(town.project.id, Resource.SECURITY_GROUP_RULES, 5)
        assert tx.quotas.get(town.project.id, Resource.SECURITY_GROUP_RULES) == Quota(
            Resource.SECURITY_GROUP_RULES, 1, 5
        )
        assert tx.quotas.get(town.project.id, Resource.SECURITY_GROUP_MEMBERS).used == 1


def test_a_number_is_never_given_again(world, town):
    numbers = []
    for _ in range(3):
        with world.store.write() as tx:
            made = group(world, tx, town)
            numbers.append(tx.groups.get(made).number)
            tx.groups.delete(made)
            assert tx.groups.get(made) is None
    assert numbers == sorted(set(numbers))
    with world.store.write() as tx:
        # A database that was put back may have lost groups that hosts know.
        tx.deliveries.renew(7)
        assert tx.groups.get(group(world, tx, town)).number > numbers[-1] + 1000


def test_limits_hold_for_each_group(world, town):
    with world.store.write() as tx:
        web, db = group(world, tx, town), group(world, tx, town, "db")
        for port in (1, 2):
            assert tx.groups.add_rule(GroupRule(RuleId(world.id()), web, IN, 4, 6, port, port), 2)
        assert not tx.groups.add_rule(GroupRule(RuleId(world.id()), web, IN, 4, 6, 3, 3), 2)
        assert tx.groups.add_rule(GroupRule(RuleId(world.id()), db, IN, 4, 6, 3, 3), 2)
        other = world.nic(tx, town.instance, town.network, 1)
        assert tx.groups.join(town.nic.id, web, 1)
        assert not tx.groups.join(other.id, web, 1)
        assert tx.groups.leave(town.nic.id, web)
        assert not tx.groups.leave(town.nic.id, web)
        assert tx.groups.join(other.id, web, 1)
        assert [name.id for name in tx.groups.of_nic(other.id)] == [web]


def test_what_is_needed_stays(world, town):
    with world.store.write() as tx:
        web, db = group(world, tx, town), group(world, tx, town, "db")
        mine, theirs = rule(world, tx, web, web), rule(world, tx, db, web)
        assert list(tx.groups.referrers(web, 9)) == ["db"]
        with pytest.raises(Referenced):
            tx.groups.delete(web)
        assert tx.groups.delete_rule(theirs.id)
        tx.groups.join(town.nic.id, web, -1)
        assert list(tx.groups.users(web, 9)) == [(town.instance, "web")]
        with pytest.raises(Referenced):
            tx.groups.delete(web)
        # All of it is there, also what would have gone first.
        assert tx.groups.rule(mine.id) is not None
        tx.groups.leave(town.nic.id, web)
        tx.groups.delete(web)
        assert tx.groups.rule(mine.id) is None
        assert not tx.groups.delete_rule(mine.id)
        with pytest.raises(Referenced):
            tx.groups.join(town.nic.id, web, -1)
        with pytest.raises(Referenced):
            tx.groups.add_rule(GroupRule(RuleId(world.id()), db, IN, 4, remote=web), -1)


def test_an_instance_names_its_groups(world, town):
    with world.store.write() as tx:
        for name in ("web", "db"):
            tx.groups.join(town.nic.id, group(world, tx, town, name), -1)
        names = tx.instances.get(town.instance).nics[0].groups
        assert [name.name for name in names] == ["db", "web"]
        assert list(names) == list(tx.groups.of_nic(town.nic.id)) == sorted(names)
        assert isinstance(names[0], GroupName)


def test_a_host_has_the_groups_of_its_nics(world, town):
    with world.store.write() as tx:
        square = Square.build(world, tx, town)
        first, _second = square.hosts
        assert [has(tx, host, group_key(square.web), COMPUTE) for host in square.hosts] == [True, False]
        assert [has(tx, host, group_key(square.db), COMPUTE) for host in square.hosts] == [False, True]
        assert tx.groups.reach(first, [square.web, square.db]) == (frozenset(), frozenset())
        tx.groups.join(square.nics[0].id, square.db, -1)
        assert tx.groups.reach(first, [square.db]) == (frozenset({square.db}), frozenset())
        tx.groups.leave(square.nics[0].id, square.db)
        assert tx.groups.reach(first, [square.db]) == (frozenset(), frozenset({square.db}))
        assert not has(tx, first, group_key(square.db), COMPUTE)
        # It comes back before the host has let go: a late word of the old withdrawal says nothing of the new placement.
        (gone,) = [entry for entry in tx.deliveries.digest(first) if entry.key == group_key(square.db)]
        tx.groups.join(square.nics[0].id, square.db, -1)
        tx.groups.reach(first, [square.db])
        tx.deliveries.confirm(first, Report(gone.key, COMPUTE, gone.generation))
        assert has(tx, first, group_key(square.db), COMPUTE)
        assert tx.groups.lagging([square.db], [first])
        assert not tx.groups.lagging([square.db], [])


def test_a_nic_that_is_not_filtered_brings_no_group(world, town):
    with world.store.write() as tx:
        web = group(world, tx, town)
        tx.instances.assign(town.instance, town.host.id)
        tx.deliveries.place(town.nic_key, town.host.id, COMPUTE)
        tx.groups.join(town.nic.id, web, -1)
        assert tx.groups.reach(town.host.id, [web]) == (frozenset(), frozenset())


def test_a_host_hears_of_members_while_a_rule_of_its_names_their_group(world, town):
    with world.store.write() as tx:
        square = Square.build(world, tx, town)
        (first, second), (front, _back) = square.hosts, square.nics
        told = [rule(world, tx, square.db, square.web, port) for port in (1, 2)]
        assert tx.groups.refers(square.db, square.web) == 2
        assert tx.groups.refer(square.db, square.web) == frozenset({second})
        assert has(tx, second, nic_key(front), MEMBER)
        assert not has(tx, first, nic_key(front), MEMBER)
        assert tx.groups.lagging([square.db], [second])
        for entry in tx.deliveries.digest(second):
            tx.deliveries.confirm(second, Report(entry.key, entry.role, entry.generation))
        assert not tx.groups.lagging([square.db], [second])
        # One of two rules goes: the other still needs them.
        tx.groups.delete_rule(told[0].id)
        tx.groups.refer(square.db, square.web)
        assert has(tx, second, nic_key(front), MEMBER)
        compute = [entry for entry in tx.deliveries.digest_of(nic_key(front)) if entry.role is COMPUTE]
        tx.groups.delete_rule(told[1].id)
        tx.groups.refer(square.db, square.web)
        assert not has(tx, second, nic_key(front), MEMBER)
        # Who keeps the NIC hears nothing new.
        assert [entry for entry in tx.deliveries.digest_of(nic_key(front)) if entry.role is COMPUTE] == compute
        generation, _ = tx.deliveries.publish(nic_key(front))
        (gone,) = [entry for entry in tx.deliveries.digest(second) if entry.role is MEMBER]
        assert gone.generation < generation
        assert not gone.present


def test_a_member_that_comes_is_followed_and_one_that_leaves_is_forgotten(world, town):
    with world.store.write() as tx:
        square = Square.build(world, tx, town)
        (first, second), (front, back) = square.hosts, square.nics
        rule(world, tx, square.db, square.web)
        tx.groups.refer(square.db, square.web)
        tx.groups.join(back.id, square.web, -1)
        tx.groups.reach(second, [square.web])
        assert tx.groups.follow(back.id) == frozenset()
        assert has(tx, second, nic_key(back), MEMBER)
        tx.groups.leave(front.id, square.web)
        tx.groups.reach(first, [square.web])
        assert tx.groups.follow(front.id) == frozenset({second})
        assert not has(tx, second, nic_key(front), MEMBER)
        # With the group that has the rule, all that it named goes from the host, and comes back with it.
        tx.groups.leave(back.id, square.db)
        tx.groups.reach(second, [square.db])
        assert not has(tx, second, nic_key(back), MEMBER)
        tx.groups.join(back.id, square.db, -1)
        tx.groups.reach(second, [square.db])
        assert has(tx, second, nic_key(back), MEMBER)
        # Who is nowhere is nobody's member.
        tx.deliveries.withdraw(nic_key(back))
        tx.groups.follow(back.id)
        assert tx.deliveries.hosts(nic_key(back)) == []


def test_what_hosts_are_told(world, town):
    with world.store.write() as tx:
        square = Square.build(world, tx, town)
        second, back = square.hosts[1], square.nics[1]
        rule(world, tx, square.db, square.web, 22)
        tx.groups.refer(square.db, square.web)
        web, db = tx.groups.get(square.web), tx.groups.get(square.db)
        subjects = {(placed.key, placed.role): placed.subject for placed in tx.deliveries.pending(second, None)}
        intent = subjects[group_key(square.db), COMPUTE]
        assert intent == GroupIntent(square.db, 1, db.number, (FilterRule(IN, 4, 6, 22, 22, remote_group=web.number),))
        known = subjects[nic_key(square.nics[0]), MEMBER]
        assert isinstance(known, NicIntent)
        assert known.filter == NicFilter((web.number,))
        tx.groups.join(back.id, square.web, -1)
        (placed,) = tx.deliveries.pending(second, [nic_key(back)])
        assert placed.subject.filter == NicFilter(tuple(sorted((web.number, db.number))))


def test_a_host_in_two_roles_is_told_each_in_its_own_generation(world, town):
    with world.store.write() as tx:
        square = Square.build(world, tx, town)
        (first, _second), (front, _back) = square.hosts, square.nics
        told = rule(world, tx, square.db, square.web)
        tx.groups.refer(square.db, square.web)
        tx.groups.delete_rule(told.id)
        tx.groups.refer(square.db, square.web)
        rule(world, tx, square.web, square.web)
        tx.groups.refer(square.web, square.web)
        placed = tx.deliveries.pending(first, [nic_key(front)])
        assert {each.role for each in placed} == {COMPUTE, MEMBER}
        assert len({each.generation for each in placed}) == 2
        assert all(each.subject.generation == each.generation for each in placed)
