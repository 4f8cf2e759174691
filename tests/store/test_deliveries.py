"""The outbox: examples of each law, and then all of them at once against hosts that pull, forget to report, and report late."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.model.ids import HostId, NicId
from mooring.model.records import Referenced
from mooring.model.subjects import (
    DigestEntry,
    HostRole,
    NetworkIntent,
    NicIntent,
    Placement,
    Report,
    SubjectKey,
    SubjectKind,
)

COMPUTE, GATEWAY = HostRole.COMPUTE, HostRole.GATEWAY


def test_a_host_is_told_the_present_generation_and_what_is_published_later(town):
    key = town.network_key
    with town.world.store.write() as tx:
        tx.deliveries.place(key, town.host.id, COMPUTE)
        assert tx.deliveries.digest(town.host.id) == [DigestEntry(key, COMPUTE, 1, present=True)]
        assert tx.deliveries.publish(key) == (2, {town.host.id})
        tx.deliveries.place(key, town.host.id, COMPUTE)
        assert tx.deliveries.digest(town.host.id) == [DigestEntry(key, COMPUTE, 2, present=True)]
        second = town.world.host(tx)
        tx.deliveries.place(key, second.id, COMPUTE)
        assert tx.deliveries.digest_of(key) == [
            DigestEntry(key, COMPUTE, 2, present=True),
            DigestEntry(key, COMPUTE, 2, present=True),
        ]
        assert tx.deliveries.publish(key) == (3, {town.host.id, second.id})
        with pytest.raises(Referenced):
            tx.deliveries.place(key, HostId("x"), COMPUTE)


def test_publishing_what_is_nowhere_tells_nobody_and_still_counts(town):
    with town.world.store.write() as tx:
        assert tx.deliveries.publish(town.nic_key) == (1, frozenset())
        assert tx.deliveries.publish(town.nic_key) == (2, frozenset())
        generation, told = tx.deliveries.withdraw(town.nic_key)
        assert (generation > 2, told) == (True, frozenset())
        assert not tx.deliveries.unconfirmed(town.nic_key, generation)


def test_who_hears_of_no_change_has_nothing_to_confirm(town):
    """A floating IP concerns the gateway; who has to find the NIC, or knows it as a member, is left in peace."""
    key = town.nic_key
    with town.world.store.write() as tx:
        hosts = {role: town.world.host(tx).id for role in (GATEWAY, HostRole.PEER, HostRole.MEMBER)}
        for role, host in hosts.items():
            tx.deliveries.place(key, host, role)
            tx.deliveries.confirm(host, Report(key, role, 1))
        floating = town.floating(tx)
        tx.addresses.associate(floating.id, town.fixed.id, town.pool.id)
        assert tx.deliveries.publish(key, {COMPUTE, GATEWAY}) == (2, {hosts[GATEWAY]})
        assert tx.deliveries.behind() == [hosts[GATEWAY]]
        assert tx.deliveries.unconfirmed(key, 2)
        tx.addresses.linger(floating.id, town.nic.id, 2)
        assert tx.addresses.get(floating.id).release_nic == town.nic.id
        tx.deliveries.confirm(hosts[GATEWAY], Report(key, GATEWAY, 2))
        assert not tx.deliveries.unconfirmed(key, 2)
        assert tx.addresses.get(floating.id).release_nic is None
        # What is told in a generation is the same whenever it is asked for.
        for role, host in hosts.items():
            (placed,) = tx.deliveries.pending(host, [key])
            assert isinstance(placed.subject, NicIntent)
            assert placed.subject.generation == placed.generation == (2 if role is GATEWAY else 1)
            assert len(placed.subject.addresses[0].floating) == (role is GATEWAY)
        # Who gives it up is waited for, whatever is published meanwhile and for whom.
        generation, told = tx.deliveries.withdraw(key)
        assert told == set(hosts.values())
        assert tx.deliveries.unconfirmed(key, generation + 3)


def test_a_confirmation_counts_for_its_generation_and_older_ones_change_nothing(town):
    key, host = town.network_key, town.host.id
    with town.world.store.write() as tx:
        tx.deliveries.place(key, host, COMPUTE)
        for _ in range(4):
            tx.deliveries.publish(key)
        assert tx.deliveries.unconfirmed(key, 1)
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, 3))
        assert not tx.deliveries.unconfirmed(key, 3)
        assert tx.deliveries.unconfirmed(key, 4)
        assert not tx.deliveries.confirm(host, Report(key, COMPUTE, 2))
        assert not tx.deliveries.unconfirmed(key, 3)
        assert tx.deliveries.behind() == [host]
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, 5))
        assert tx.deliveries.behind() == []
        # Of another host, role or subject, or of a future that nobody has published: it says nothing.
        for strange in (Report(key, GATEWAY, 5), Report(town.nic_key, COMPUTE, 5), Report(key, COMPUTE, 6)):
            assert not tx.deliveries.confirm(host, strange)
        assert not tx.deliveries.confirm(HostId("x"), Report(key, COMPUTE, 5))
        assert tx.deliveries.publish(key)[0] == 6
        assert tx.deliveries.unconfirmed(key, 6)


def test_an_error_never_confirms_and_goes_when_the_same_or_a_newer_generation_holds(town):
    key, host = town.network_key, town.host.id
    with town.world.store.write() as tx:
        tx.deliveries.place(key, host, COMPUTE)
        for _ in range(2):
            tx.deliveries.publish(key)
        bad = Report(key, COMPUTE, 2, "no such interface")
        assert tx.deliveries.confirm(host, bad)
        assert tx.deliveries.unconfirmed(key, 1)
        assert tx.deliveries.errors() == tx.deliveries.errors(host) == [(host, bad)]
        assert tx.deliveries.errors(HostId("x")) == []
        # That an older generation once held is true, and ends the wait for it; the trouble is with the newer one.
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, 1))
        assert not tx.deliveries.unconfirmed(key, 1)
        assert not tx.deliveries.confirm(host, Report(key, COMPUTE, 1, "older trouble"))
        assert tx.deliveries.errors() == [(host, bad)]
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, 3))
        assert tx.deliveries.errors() == []
        assert not tx.deliveries.confirm(host, Report(key, COMPUTE, 2, "late"))
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, 3, "it broke afterwards"))
        assert not tx.deliveries.unconfirmed(key, 3)
        assert [report.error for _, report in tx.deliveries.errors()] == ["it broke afterwards"]


def test_a_withdrawal_stays_until_it_is_confirmed(town):
    key, host = town.nic_key, town.host.id
    with town.world.store.write() as tx:
        for role in (COMPUTE, GATEWAY):
            tx.deliveries.place(key, host, role)
        generation, told = tx.deliveries.withdraw(key)
        assert told == {host}
        assert [(entry.generation, entry.present) for entry in tx.deliveries.digest_of(key)] == [
            (generation, False)
        ] * 2
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, generation, "busy"))
        assert len(tx.deliveries.digest_of(key)) == 2
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, generation))
        assert tx.deliveries.digest_of(key) == [DigestEntry(key, GATEWAY, generation, present=False)]
        assert tx.deliveries.unconfirmed(key, generation)
        assert tx.deliveries.confirm(host, Report(key, GATEWAY, generation))
        assert tx.deliveries.digest_of(key) == []
        assert not tx.deliveries.unconfirmed(key, generation)
        assert not tx.deliveries.confirm(host, Report(key, GATEWAY, generation))


def test_a_late_confirmation_of_a_withdrawal_is_none_of_the_next_placement(town):
    key, host = town.nic_key, town.host.id
    with town.world.store.write() as tx:
        tx.deliveries.place(key, host, COMPUTE)
        gone, _ = tx.deliveries.withdraw(key)
        # The host comes back before it has let go ...
        tx.deliveries.place(key, host, COMPUTE)
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, gone))
        (entry,) = tx.deliveries.digest_of(key)
        assert entry.present
        assert entry.generation > gone
        assert tx.deliveries.unconfirmed(key, entry.generation)
        # ... or after.
        again, _ = tx.deliveries.withdraw(key)
        assert tx.deliveries.confirm(host, Report(key, COMPUTE, again))
        tx.deliveries.place(key, host, COMPUTE)
        for late in (gone, again):
            tx.deliveries.confirm(host, Report(key, COMPUTE, late))
        (entry,) = tx.deliveries.digest_of(key)
        assert tx.deliveries.unconfirmed(key, entry.generation)


def test_a_host_that_must_let_go_is_waited_for_whatever_others_get_meanwhile(town):
    """Reliability.md 2.3: "release waits only for the current host" was a mistake that nobody had planted."""
    key, old = town.nic_key, town.host.id
    with town.world.store.write() as tx:
        new = town.world.host(tx).id
        tx.deliveries.place(key, old, COMPUTE)
        gone, _ = tx.deliveries.withdraw(key)
        tx.deliveries.place(key, new, COMPUTE)
        generation, told = tx.deliveries.publish(key)
        assert told == {new}
        assert tx.deliveries.confirm(new, Report(key, COMPUTE, generation))
        assert tx.deliveries.unconfirmed(key, generation)
        # Late word of the time before is none of having let go; nor does a second withdrawal ask the host again.
        assert tx.deliveries.confirm(old, Report(key, COMPUTE, gone - 1))
        assert tx.deliveries.unconfirmed(key, generation)
        again, told = tx.deliveries.withdraw(key)
        assert told == {new}
        assert tx.deliveries.confirm(new, Report(key, COMPUTE, again))
        assert tx.deliveries.confirm(old, Report(key, COMPUTE, gone))
        assert not tx.deliveries.unconfirmed(key, generation)


def test_who_holds_a_subject_and_whether_they_all_confirmed(town):
    key, host = town.nic_key, town.host.id
    with town.world.store.write() as tx:
        second = town.world.host(tx).id
        assert tx.deliveries.hosts(key) == []
        assert not tx.deliveries.settled(key, set(HostRole))
        tx.deliveries.place(key, second, GATEWAY)
        tx.deliveries.place(key, host, COMPUTE)
        assert set(tx.deliveries.hosts(key)) == {(host, COMPUTE), (second, GATEWAY)}
        tx.deliveries.confirm(host, Report(key, COMPUTE, 1))
        assert tx.deliveries.settled(key, {COMPUTE})
        assert not tx.deliveries.settled(key, {COMPUTE, GATEWAY})
        assert not tx.deliveries.settled(key, {HostRole.PEER})
        tx.deliveries.confirm(second, Report(key, GATEWAY, 1))
        assert tx.deliveries.settled(key, {COMPUTE, GATEWAY})
        tx.deliveries.publish(key)
        assert not tx.deliveries.settled(key, {COMPUTE})
        # Who has only to let go is not asked.
        tx.deliveries.withdraw(key)
        assert tx.deliveries.hosts(key) == []
        assert not tx.deliveries.settled(key, set(HostRole))
        tx.deliveries.place(key, second, COMPUTE)
        (entry,) = [entry for entry in tx.deliveries.digest_of(key) if entry.present]
        tx.deliveries.confirm(second, Report(key, COMPUTE, entry.generation))
        assert tx.deliveries.hosts(key) == [(second, COMPUTE)]
        assert tx.deliveries.settled(key, set(HostRole))


def test_generations_survive_withdrawal_and_go_with_the_subject(town):
    key, host = town.nic_key, town.host.id
    with town.world.store.write() as tx:
        tx.deliveries.place(key, host, COMPUTE)
        gone, _ = tx.deliveries.withdraw(key)
        tx.deliveries.confirm(host, Report(key, COMPUTE, gone))
        assert tx.deliveries.publish(key)[0] > gone
        tx.deliveries.place(key, host, COMPUTE)
        last, _ = tx.deliveries.withdraw(key)
        tx.addresses.free(town.fixed.id)
        tx.instances.delete_nic(town.nic.id)
        assert tx.deliveries.publish(key)[0] > last
        assert tx.deliveries.pending(host, None) == [Placement(key, last, COMPUTE, None)]
        tx.deliveries.confirm(host, Report(key, COMPUTE, last))
        assert tx.deliveries.pending(host, None) == []
    assert count(town.world.store, "generations", key) == 0


def count(store, table: str, key: SubjectKey) -> object:
    with store.read() as tx:
        query = f"SELECT count(*) FROM {table} WHERE subject = '{key.id}'"  # noqa: S608
        return tx.addresses._session.connection.exec_driver_sql(query).scalar()


def test_a_subject_that_was_nowhere_leaves_no_generation_behind(town):
    with town.world.store.write() as tx:
        tx.deliveries.publish(town.nic_key)
        tx.deliveries.publish(town.network_key)
        tx.addresses.free(town.fixed.id)
        tx.instances.delete_nic(town.nic.id)
    assert count(town.world.store, "generations", town.nic_key) == 0
    assert count(town.world.store, "generations", town.network_key) == 1


def test_pending_is_what_was_asked_for_or_what_is_not_confirmed(town):
    host = town.host.id
    with town.world.store.write() as tx:
        second = town.world.host(tx).id
        tx.deliveries.place(town.network_key, host, COMPUTE)
        tx.deliveries.place(town.network_key, second, COMPUTE)
        tx.deliveries.place(town.nic_key, host, COMPUTE)
        tx.deliveries.place(town.nic_key, host, GATEWAY)
        tx.deliveries.confirm(host, Report(town.network_key, COMPUTE, 1))
        tx.deliveries.confirm(host, Report(town.nic_key, GATEWAY, 1))
    with town.world.store.read() as tx:
        (nic,) = tx.deliveries.pending(host, None)
        assert (nic.key, nic.role, nic.generation) == (town.nic_key, COMPUTE, 1)
        assert [placed.role for placed in tx.deliveries.pending(host, [town.nic_key])] == [COMPUTE, GATEWAY]
        network = Placement(town.network_key, 1, COMPUTE, NetworkIntent(town.network.id, 1, 1500))
        assert tx.deliveries.pending(host, [town.network_key]) == [network]
        assert tx.deliveries.pending(second, None) == [network]
        assert tx.deliveries.pending(second, [town.nic_key]) == []
        assert tx.deliveries.pending(host, []) == []
        # A kind and an id make a key together.
        assert tx.deliveries.pending(host, [SubjectKey(SubjectKind.ROUTER, town.nic.id)]) == []


@dataclass
class Agent:
    """A host as far as one subject goes: what it holds in each role, and the reports that it has sent and nobody has heard yet."""

    id: HostId
    generation: dict[HostRole, int] = field(default_factory=dict)
    holds: dict[HostRole, bool] = field(default_factory=dict)
    sent: list[Report] = field(default_factory=list)

    def pull(self, tx, key: SubjectKey, error: str | None = None) -> None:
        for placed in tx.deliveries.pending(self.id, None):
            if placed.key == key and placed.generation > self.generation.get(placed.role, 0):
                self.generation[placed.role] = placed.generation
                self.holds[placed.role] = placed.subject is not None
                self.sent.append(Report(key, placed.role, placed.generation, error))


hosts = st.integers(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("place"), hosts, st.sampled_from(HostRole)),
        st.tuples(st.just("publish"), st.none(), st.none()),
        st.tuples(st.just("withdraw"), st.none(), st.none()),
        st.tuples(st.just("pull"), hosts, st.sampled_from([None, None, "trouble"])),
        # Reports arrive late, twice, in any order, or never.
        st.tuples(st.just("report"), hosts, st.integers(0, 20)),
    ),
    min_size=4,
    max_size=40,
)


@given(steps=steps)
@settings(max_examples=200)
def test_what_is_confirmed_holds_on_every_host(steps, crowd):
    """After any history: where nothing is unconfirmed, no host holds anything older; and once all report, nobody is behind."""
    with crowd.store.write() as tx:
        agents = [Agent(crowd.host(tx).id) for _ in range(2)]
        network = crowd.network(tx, crowd.router(tx, crowd.id()))
        instance = crowd.instance(tx, crowd.project(tx), crowd.user(tx))
        key = SubjectKey(SubjectKind.NIC, crowd.nic(tx, instance, network).id)
    newest = 0
    states: dict[tuple[HostId, HostRole, int], bool] = {}
    with crowd.store.write() as tx:
        for verb, which, what in steps:
            agent = agents[which] if which is not None else agents[0]
            match verb:
                case "place":
                    tx.deliveries.place(key, agent.id, what)
                case "publish" | "withdraw":
                    generation, _ = getattr(tx.deliveries, verb)(key)
                    assert generation > newest
                    newest = generation
                case "pull":
                    agent.pull(tx, key, what)
                case "report" if agent.sent:
                    tx.deliveries.confirm(agent.id, agent.sent[what % len(agent.sent)])
            check_no_generation_means_two_things(tx, key, agents, states)
            check_confirmed_means_held(tx, key, agents, newest)
        for agent in agents:
            agent.pull(tx, key)
            for role, generation in agent.generation.items():
                tx.deliveries.confirm(agent.id, Report(key, role, generation))
            assert agent.id not in tx.deliveries.behind()
        held = {(agent.id, role) for agent in agents for role, holds in agent.holds.items() if holds}
        entries = [(agent.id, entry) for agent in agents for entry in tx.deliveries.digest(agent.id)]
        assert {(host, entry.role) for host, entry in entries} == held
        assert all(entry.present for _, entry in entries)


def check_no_generation_means_two_things(tx, key, agents, states) -> None:
    for agent in agents:
        for entry in tx.deliveries.digest(agent.id):
            assert states.setdefault((agent.id, entry.role, entry.generation), entry.present) == entry.present


def check_confirmed_means_held(tx, key, agents, newest) -> None:
    for generation in range(max(1, newest - 6), newest + 1):
        if not tx.deliveries.unconfirmed(key, generation):
            for agent in agents:
                for role, holds in agent.holds.items():
                    assert not holds or agent.generation[role] >= generation


def test_the_outbox_and_the_intent_commit_together(town):
    """A generation without its change, or a change without its generation, would be a host that is never told."""
    key = replace(town.nic_key, id=NicId(town.nic.id))
    with suppress(ZeroDivisionError), town.world.store.write() as tx:
        town.floating(tx)
        tx.deliveries.place(key, town.host.id, COMPUTE)
        tx.deliveries.publish(key)
        raise ZeroDivisionError
    with town.world.store.read() as tx:
        assert tx.addresses.floating_ips(None) == []
        assert tx.deliveries.digest(town.host.id) == []
    with town.world.store.write() as tx:
        assert tx.deliveries.publish(key) == (1, frozenset())
