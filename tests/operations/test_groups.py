"""Security groups as projects use them: what is there from the start, what is refused, and what a change waits for."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Forbidden, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import GroupId, InstanceId, RuleId
from mooring.model.nouns import InstanceState, Resource
from mooring.model.subjects import MAX_GROUPS, Direction, HostRole, SubjectKey, SubjectKind
from mooring.operations import NewInstance, NewNic, NewRule
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.fleet import Fleet

SSH = NewRule(protocol="tcp", first=22, last=22)


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


@pytest.fixture
def fleet(make_cloud: Callable[..., Cloud]) -> Fleet:
    """Three hosts that hear when they are told to, and hold NICs to their groups."""
    return Fleet.build(make_cloud(settle_timeout=0.0, quota=1000))


def vm(*groups: str, nics: int = 1) -> NewInstance:
    return NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private"),) * nics, groups or None)


# --------------------------------------------------------------------------------------------- what is there from the start


def test_every_project_has_a_group_whose_members_reach_each_other(cloud: Cloud, alice: Caller) -> None:
    (group,) = cloud.operations.groups.listing(alice)
    said = {(rule.direction, rule.family, rule.protocol, rule.prefix, rule.remote) for rule in group.rules}
    assert said == {
        (direction, family, None, None, group.id if direction is Direction.INGRESS else None)
        for direction in Direction
        for family in (4, 6)
    }
    assert cloud.operations.groups.listing(alice) == [group]
    (other,) = cloud.operations.groups.listing(cloud.caller("bob"))
    assert other.id != group.id
    assert other.number != group.number


def test_an_instance_is_in_the_default_group_or_in_those_that_are_named(cloud: Cloud, alice: Caller) -> None:
    web = cloud.operations.groups.create(alice, "web")
    made = [cloud.operations.instances.create(alice, new) for new in (vm(), vm("web", web.id), vm("web", "default"))]
    names = [[name.name for name in instance.nics[0].groups] for instance in made]
    assert names == [["default"], ["web"], ["default", "web"]]
    none = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, groups=()))
    assert none.nics[0].groups == ()


def test_a_new_group_lets_everything_out_and_nothing_in(cloud: Cloud, alice: Caller) -> None:
    web = cloud.operations.groups.create(alice, " web ", "what it is for")
    assert (web.name, web.description) == ("web", "what it is for")
    assert [(rule.direction, rule.family) for rule in web.rules] == [(Direction.EGRESS, 4), (Direction.EGRESS, 6)]


def test_without_the_switch_hosts_hear_of_no_group(cloud: Cloud, alice: Caller) -> None:
    door = cloud.operations.groups._door
    object.__setattr__(door, "limits", replace(door.limits, filters=False))
    made = cloud.boot(alice)
    assert not made.nics[0].filtered
    assert {key.kind for key, _ in cloud.host.held} == set(SubjectKind) - {SubjectKind.GROUP}
    assert {role for _, role in cloud.host.held} == {HostRole.COMPUTE, HostRole.GATEWAY}


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "change",
    [
        lambda do, who, _group, _vm: do.create(who, "new"),
        lambda do, who, group, _vm: do.update(who, group.id, "new", ""),
        lambda do, who, group, _vm: do.delete(who, group.id),
        lambda do, who, group, _vm: do.add_rule(who, group.id, SSH),
        lambda do, who, group, _vm: do.delete_rule(who, group.rules[0].id),
        lambda do, who, _group, vm: do.join(who, vm, "web"),
        lambda do, who, _group, vm: do.leave(who, vm, "default"),
    ],
)
def test_readers_and_strangers_change_nothing(cloud: Cloud, alice: Caller, change: Callable[..., object]) -> None:
    groups = cloud.operations.groups
    web, made = groups.create(alice, "web"), cloud.boot(alice)
    before = groups.listing(alice), cloud.operations.instances.listing(alice)
    with pytest.raises(Forbidden):
        change(groups, cloud.caller("rita"), web, made.id)
    bob = cloud.caller("bob")
    groups.create(bob, "web")
    if change.__code__.co_consts[1:] != ("new",):
        with pytest.raises(NotFound):
            change(groups, bob, web, made.id)
    assert (groups.listing(alice), cloud.operations.instances.listing(alice)) == before


def test_what_is_anothers_is_not_found(cloud: Cloud, alice: Caller) -> None:
    groups, bob = cloud.operations.groups, cloud.caller("bob")
    web = groups.create(alice, "web")
    own = groups.create(bob, "own")
    for name in (web.id, "web", "nowhere", GroupId("x")):
        with pytest.raises(NotFound, match="Security group"):
            groups.add_rule(bob, own.id, NewRule(remote=name))
        with pytest.raises(NotFound, match="Security group"):
            cloud.operations.instances.create(bob, vm(name))
    with pytest.raises(NotFound):
        groups.get(bob, web.id)
    with pytest.raises(NotFound):
        groups.rule(bob, web.rules[0].id)
    root = cloud.caller("root")
    assert groups.get(root, web.id) == web
    assert {each.id for each in groups.listing(root, every_project=True)} > {web.id, own.id}
    assert web.id not in {each.id for each in groups.listing(bob, every_project=True)}
    # An administrator sees an instance, and still may not tie another project's group to it, nor its own.
    made = cloud.boot(alice)
    with pytest.raises(NotFound, match="Instance"):
        groups.join(root, made.id, "default")
    assert groups.listing(bob) == groups.listing(bob)


def test_the_default_group_stays_as_it_is(cloud: Cloud, alice: Caller) -> None:
    groups = cloud.operations.groups
    (default,) = groups.listing(alice)
    with pytest.raises(Conflict, match="default"):
        groups.delete(alice, default.id)
    with pytest.raises(Conflict, match="default"):
        groups.update(alice, default.id, "other", "")
    with pytest.raises(Conflict, match="already exists"):
        groups.create(alice, "default")
    web = groups.create(alice, "web")
    with pytest.raises(Conflict, match="already exists"):
        groups.update(alice, web.id, "default", "")
    # But its rules are the project's own.
    for rule in default.rules:
        groups.delete_rule(alice, rule.id)
    assert groups.get(alice, default.id).rules == ()


def test_a_group_in_use_says_what_uses_it(cloud: Cloud, alice: Caller) -> None:
    groups = cloud.operations.groups
    web, db = groups.create(alice, "web"), groups.create(alice, "db")
    rule = groups.add_rule(alice, db.id, NewRule(remote="web"))
    groups.add_rule(alice, web.id, NewRule(remote=web.id))
    with pytest.raises(InUse, match="a rule of security group db"):
        groups.delete(alice, web.id)
    made = cloud.operations.instances.create(alice, vm("web"))
    with pytest.raises(InUse, match=rf"instance vm \({made.id}\)"):
        groups.delete(alice, web.id)
    groups.leave(alice, made.id, "web")
    groups.delete_rule(alice, rule.id)
    groups.delete(alice, web.id)
    with pytest.raises(NotFound):
        groups.get(alice, web.id)


def test_the_same_rule_again_is_refused_however_it_is_written(cloud: Cloud, alice: Caller) -> None:
    groups = cloud.operations.groups
    web = groups.create(alice, "web")
    groups.add_rule(alice, web.id, SSH)
    for same in (
        NewRule(protocol="TCP", first=22, last=22),
        NewRule(protocol=6, first=22, last=22, prefix="0.0.0.0/0"),
    ):
        with pytest.raises(Conflict, match="already exists in group web"):
            groups.add_rule(alice, web.id, same)
    assert len(groups.get(alice, web.id).rules) == 3
    with pytest.raises(Invalid):
        groups.add_rule(alice, web.id, NewRule(protocol="tpc"))


def test_quotas_are_of_groups_and_of_rules_and_members_in_each(cloud: Cloud, alice: Caller) -> None:
    groups, root = cloud.operations.groups, cloud.caller("root")

    def limit(resource: Resource, most: int) -> None:
        cloud.operations.identity.set_quota(root, alice.project.id, resource, most)

    limit(Resource.SECURITY_GROUPS, 1)
    web = groups.create(alice, "web")
    with pytest.raises(QuotaExceeded, match="security groups"):
        groups.create(alice, "db")
    assert {group.name for group in groups.listing(alice)} == {"default", "web"}
    limit(Resource.SECURITY_GROUP_RULES, 3)
    groups.add_rule(alice, web.id, SSH)
    with pytest.raises(QuotaExceeded, match="rules of security group web"):
        groups.add_rule(alice, web.id, NewRule(protocol="udp"))
    limit(Resource.SECURITY_GROUP_MEMBERS, 2)
    first = cloud.operations.instances.create(alice, vm("web", nics=2))
    with pytest.raises(QuotaExceeded, match="members of security group web"):
        cloud.operations.instances.create(alice, vm("web"))
    other = cloud.operations.instances.create(alice, vm("default"))
    with pytest.raises(QuotaExceeded, match="members of security group web"):
        groups.join(alice, other.id, "web")
    used = {quota.resource: quota.used for quota in cloud.operations.identity.quotas(alice, alice.project.id)}
    assert (used[Resource.SECURITY_GROUPS], used[Resource.SECURITY_GROUP_MEMBERS]) == (1, 2)
    assert used[Resource.INSTANCES] == 2
    cloud.operations.instances.delete(alice, first.id)
    groups.join(alice, other.id, "web")
    groups.leave(alice, other.id, "web")
    groups.delete(alice, web.id)
    groups.create(alice, "db")


def test_a_nic_is_in_at_most_so_many_groups(cloud: Cloud, alice: Caller) -> None:
    names = [f"g{number}" for number in range(MAX_GROUPS + 1)]
    for name in names:
        cloud.operations.groups.create(alice, name)
    with pytest.raises(Invalid, match=f"at most {MAX_GROUPS}"):
        cloud.operations.instances.create(alice, vm(*names))
    made = cloud.operations.instances.create(alice, vm(*names[:MAX_GROUPS]))
    with pytest.raises(Conflict, match=f"is in {MAX_GROUPS} security groups"):
        cloud.operations.groups.join(alice, made.id, names[-1])


def test_one_nic_may_be_in_other_groups_than_the_next(cloud: Cloud, alice: Caller) -> None:
    groups = cloud.operations.groups
    groups.create(alice, "web")
    made = cloud.operations.instances.create(alice, vm(nics=2))
    groups.join(alice, made.id, "web", made.nics[1].id)
    names = [[name.name for name in nic.groups] for nic in cloud.operations.instances.get(alice, made.id).nics]
    assert names == [["default"], ["default", "web"]]
    groups.join(alice, made.id, "web")
    with pytest.raises(Conflict, match="already in"):
        groups.join(alice, made.id, "web")
    groups.leave(alice, made.id, "web", made.nics[0].id)
    with pytest.raises(Conflict, match="not in"):
        groups.leave(alice, made.id, "web", made.nics[0].id)
    with pytest.raises(NotFound, match="NIC"):
        groups.leave(alice, made.id, "web", type(made.nics[0].id)("nowhere"))


def test_an_instance_that_is_being_deleted_changes_no_groups(fleet: Fleet) -> None:
    cloud, alice = fleet.cloud, fleet.cloud.caller("alice")
    made = cloud.operations.instances.create(alice, vm())
    fleet.launch(made.id, fleet.hosts[0])
    cloud.operations.instances.delete(alice, made.id)
    assert cloud.operations.instances.get(alice, made.id).state is InstanceState.DELETING
    for change in (cloud.operations.groups.join, cloud.operations.groups.leave):
        with pytest.raises(Conflict, match="being deleted"):
            change(alice, made.id, "default")


# ------------------------------------------------------------------------------------------------------- doing it once


def test_a_key_makes_one_group_and_one_rule(cloud: Cloud, alice: Caller) -> None:
    groups = cloud.operations.groups
    first, second = (groups.create(alice, "web", "", "key-1") for _ in range(2))
    assert first.id == second.id
    one, two = (groups.add_rule(alice, first.id, SSH, "key-2") for _ in range(2))
    assert one == two
    assert len(groups.get(alice, first.id).rules) == 3
    with pytest.raises(Invalid, match="different request"):
        groups.add_rule(alice, first.id, NewRule(protocol="udp"), "key-2")
    groups.delete_rule(alice, one.id)
    with pytest.raises(NotFound):
        groups.add_rule(alice, first.id, SSH, "key-2")
    with pytest.raises(NotFound):
        groups.delete_rule(alice, RuleId(one.id))


# -------------------------------------------------------------------------------------------- what it costs and waits for


@contextmanager
def counted(cloud: Cloud):
    """Count the statements of a write."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        seen.append(statement)

    engine = cloud.store._writer
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_change_takes_as_many_statements_with_many_members_as_with_few(fleet: Fleet) -> None:
    cloud, alice = fleet.cloud, fleet.cloud.caller("alice")
    groups = cloud.operations.groups
    web, db = groups.create(alice, "web"), groups.create(alice, "db")
    counts: list[list[int]] = []
    front = cloud.operations.instances.create(alice, vm("web"))
    fleet.launch(front.id, fleet.hosts[0])
    for _ in range(2):
        for host in fleet.hosts * 2:
            made = cloud.operations.instances.create(alice, vm("web", "db"))
            fleet.launch(made.id, host)
        fleet.catch_up()
        changes: list[Callable[[], object]] = [
            lambda: groups.add_rule(alice, db.id, SSH),
            lambda: groups.add_rule(alice, db.id, NewRule(remote="web")),
            lambda: groups.join(alice, front.id, "db"),
            lambda: groups.leave(alice, front.id, "db"),
            *(lambda at=at: groups.delete_rule(alice, groups.get(alice, db.id).rules[at].id) for at in (-1, -1)),
        ]
        counts.append([])
        for change in changes:
            with counted(cloud) as seen:
                change()
            counts[-1].append(len(seen))
            fleet.catch_up()
            fleet.check()
    assert counts[0] == counts[1]
    assert max(counts[0]) < 40
    assert web.id != db.id


def test_a_change_waits_for_the_hosts_that_it_concerns_and_no_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, alice = fleet.cloud, fleet.cloud.caller("alice")
    groups = cloud.operations.groups
    web, db = groups.create(alice, "web"), groups.create(alice, "db")
    back = cloud.operations.instances.create(alice, vm("db"))
    front = cloud.operations.instances.create(alice, vm("web"))
    fleet.launch(back.id, fleet.hosts[1])
    fleet.launch(front.id, fleet.hosts[2])
    fleet.catch_up()
    asked: list[set[str]] = []

    def wait_settled(done: Callable[[], bool], _timeout: float) -> bool:
        """Let one host after the other confirm what it must, and note who was waited for."""
        waited: set[str] = set()
        for host in fleet.hosts:
            if not done() and host in cloud.operations.settlement.behind():
                waited.add(host)
                fleet.work(host)
        assert done()
        asked.append(waited)
        return True

    monkeypatch.setattr(cloud.host, "wait_settled", wait_settled)
    host1, host2, host3 = fleet.hosts
    groups.add_rule(alice, web.id, SSH)
    groups.add_rule(alice, db.id, NewRule(remote="web"))
    groups.join(alice, back.id, "web")
    groups.leave(alice, front.id, "web")
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, back.id, floating.address)
    # The last but one: front is a member no longer at host2, changes at host3, and its gateway, host1, is told too.
    assert asked == [{host3}, {host2}, {host1, host2}, {host1, host2, host3}, {host1, host2}]
    fleet.catch_up()
    fleet.check()
    assert InstanceId(back.id) != front.id
    assert SubjectKey(SubjectKind.GROUP, web.id) in {key for key, _ in fleet.held[host2]}
