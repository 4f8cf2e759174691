"""Which host hears of which group and of which members, under any sequence of changes: exactly those that need it."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.model.faults import Conflict, InUse
from mooring.model.ids import GroupId, RuleId
from mooring.model.nouns import InstanceState
from mooring.model.subjects import Direction, GroupIntent
from mooring.operations import NewInstance, NewRule
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.fleet import Fleet

HOSTS = st.integers(0, 2)
PICK = st.integers(0, 1000)

LEFT = (
    "SELECT * FROM generations WHERE kind = 'nic'",
    "SELECT * FROM deliveries WHERE kind IN ('nic', 'group')",
    "SELECT * FROM nic_groups",
    "SELECT * FROM security_groups WHERE members <> 0",
    "SELECT * FROM security_groups g WHERE rules <> (SELECT count(*) FROM security_group_rules WHERE group_id = g.id)",
)
"""What must find nothing when everything is gone."""


class Deliveries(RuleBasedStateMachine):
    """Two projects' instances, groups and rules on three hosts that confirm now and then."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.cloud = Cloud(Path(self.folder.name) / "mooring.db", quota=6, settle_timeout=0.0)
        self.fleet = Fleet.build(self.cloud)
        self.do = self.cloud.operations
        self.callers = [self.cloud.caller("alice"), self.cloud.caller("bob")]
        self.count = 0
        for caller in self.callers:
            for name in ("web", "db"):
                self.do.groups.create(caller, name)

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        try:
            self.fleet.catch_up()
            self.fleet.check()
            self._end()
        finally:
            self.cloud.close()
            self.folder.cleanup()

    def _end(self) -> None:
        """Take everything away: nothing is left, of numbers that hosts know least of all."""
        for caller in self.callers:
            for instance in self.do.instances.listing(caller):
                self.do.instances.delete(caller, instance.id)
            groups = self.do.groups.listing(caller)
            for group in groups:
                for each in group.rules:
                    self.do.groups.delete_rule(caller, each.id)
            for group in groups:
                if not group.is_default:
                    self.do.groups.delete(caller, group.id)
        self.fleet.catch_up()
        self.fleet.check()
        with self.cloud.store._writer.connect() as connection:
            for left in LEFT:
                assert not connection.exec_driver_sql(left).all(), left

    def _instance(self, who: int, pick: int) -> Any:
        mine = [
            each for each in self.do.instances.listing(self.callers[who]) if each.state is not InstanceState.DELETING
        ]
        return mine[pick % len(mine)] if mine else None

    def _group(self, who: int, pick: int) -> Any:
        mine = self.do.groups.listing(self.callers[who])
        return mine[pick % len(mine)]

    @rule(who=st.integers(0, 1), host=HOSTS, picks=st.lists(PICK, max_size=3), default=st.booleans())
    def boot(self, who: int, host: int, picks: list[int], default: bool) -> None:
        if len(self.do.instances.listing(self.callers[who])) >= 4:
            return
        groups = None if default else tuple(self._group(who, pick).name for pick in picks)
        new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, groups=groups)
        made = self.do.instances.create(self.callers[who], new)
        self.fleet.launch(made.id, self.fleet.hosts[host])

    @rule(who=st.integers(0, 1), pick=PICK)
    def delete(self, who: int, pick: int) -> None:
        if (instance := self._instance(who, pick)) is not None:
            self.do.instances.delete(self.callers[who], instance.id)

    @rule(who=st.integers(0, 1), pick=PICK, host=HOSTS)
    def move_on(self, who: int, pick: int, host: int) -> None:
        """Let a launch fail, and try another host."""
        instance = self._instance(who, pick)
        if instance is None or instance.state is not InstanceState.BUILDING or instance.host is None:
            return
        self.do.launches.relaunch(instance.id, instance.host, "no room")
        if self.do.instances.get(self.callers[who], instance.id).state is InstanceState.BUILDING:
            self.fleet.launch(instance.id, self.fleet.hosts[host])

    @rule(who=st.integers(0, 1), pick=PICK, group=PICK)
    def join(self, who: int, pick: int, group: int) -> None:
        if (instance := self._instance(who, pick)) is None:
            return
        known = self._group(who, group)
        inside = known.id in {name.id for nic in instance.nics for name in nic.groups}
        try:
            self.do.groups.join(self.callers[who], instance.id, known.name)
        except Conflict:
            assert inside
        else:
            assert not inside

    @rule(who=st.integers(0, 1), pick=PICK, group=PICK)
    def leave(self, who: int, pick: int, group: int) -> None:
        if (instance := self._instance(who, pick)) is None or not instance.nics[0].groups:
            return
        names = instance.nics[0].groups
        self.do.groups.leave(self.callers[who], instance.id, names[group % len(names)].id)

    @rule(who=st.integers(0, 1))
    def make_group(self, who: int) -> None:
        if len(self.do.groups.listing(self.callers[who])) < 5:
            self.count += 1
            self.do.groups.create(self.callers[who], f"group-{self.count}")

    @rule(who=st.integers(0, 1), pick=PICK)
    def delete_group(self, who: int, pick: int) -> None:
        known = self._group(who, pick)
        users = [
            each
            for each in self.do.instances.listing(self.callers[who])
            for nic in each.nics
            if known.id in {name.id for name in nic.groups}
        ]
        others = [each for each in self.do.groups.listing(self.callers[who]) if each.id != known.id]
        referred = any(one.remote == known.id for each in others for one in each.rules)
        try:
            self.do.groups.delete(self.callers[who], GroupId(known.id))
        except InUse:
            assert users or referred
        except Conflict:
            assert known.is_default
        else:
            assert not users
            assert not referred

    @rule(who=st.integers(0, 1), pick=PICK, remote=st.none() | PICK, port=st.integers(1, 3), egress=st.booleans())
    def add_rule(self, who: int, pick: int, remote: int | None, port: int, egress: bool) -> None:
        other = self._group(who, remote).id if remote is not None else None
        direction = Direction.EGRESS if egress else Direction.INGRESS
        new = NewRule(direction, protocol="tcp", first=port, last=port, remote=other)
        known = self._group(who, pick)
        same = [each for each in known.rules if (each.direction, each.first, each.remote) == (direction, port, other)]
        try:
            self.do.groups.add_rule(self.callers[who], known.id, new)
        except Conflict:
            assert same
        else:
            assert not same

    @rule(who=st.integers(0, 1), pick=PICK, which=PICK)
    def delete_rule(self, who: int, pick: int, which: int) -> None:
        rules = self._group(who, pick).rules
        if rules:
            self.do.groups.delete_rule(self.callers[who], RuleId(rules[which % len(rules)].id))

    @rule(host=HOSTS, at_most=st.none() | st.integers(1, 3))
    def work(self, host: int, at_most: int | None) -> None:
        self.fleet.work(self.fleet.hosts[host], at_most)

    @rule()
    def catch_up(self) -> None:
        self.fleet.catch_up()
        self.fleet.check()

    @precondition(lambda self: hasattr(self, "cloud"))
    @invariant()
    def numbers_are_single(self) -> None:
        """What hosts know by number is known by one only, also where one has still to let go."""
        for host in self.fleet.hosts:
            subjects = [placed.subject for placed in self.fleet.held[host].values()]
            numbers = [subject.number for subject in subjects if isinstance(subject, GroupIntent)]
            assert len(numbers) == len(set(numbers))


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
