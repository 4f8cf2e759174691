"""What is said of pools: who may use them, each project's share, what came and went, and several floating IPs of one on a fixed IP."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mooring.model.nouns import AddressPool
from mooring.model.pools import PoolDay, PoolShare
from mooring.model.records import Duplicate, Referenced
from mooring.model.subjects import NicIntent
from tests.store.test_subjects import pull
from tests.store.world import START, Town


def test_a_pool_is_for_everybody_until_it_is_said_otherwise(town):
    with town.world.store.write() as tx:
        assert (town.pool.public, town.pool.per_fixed) == (True, 1)
        tx.pools.save(replace(town.pool, public=False, per_fixed=3))
        changed = replace(town.pool, public=False, per_fixed=3)
        assert tx.topology.pool(town.pool.id) == tx.topology.pool_by_name(town.pool.name) == changed
        assert tx.topology.pools() == [changed]


def test_grants_come_and_go_and_go_with_their_pool_and_project(town):
    world = town.world
    with world.store.write() as tx:
        other, second = world.project(tx, "z-project"), world.pool(tx, town.uplink, "203.0.113.0/24")
        for project in (other, town.project, other):
            tx.pools.grant(second.id, project.id)
        with pytest.raises(Referenced):
            tx.pools.grant(second.id, "nobody")
        assert tx.pools.granted(other.id) == {second.id}
        assert tx.pools.granted("nobody") == frozenset()
        assert tx.pools.grantees(second.id) == [town.project, other]
        assert tx.pools.withdraw(second.id, town.project.id)
        assert not tx.pools.withdraw(second.id, town.project.id)
        tx.pools.take(second.id, other.id)
        tx.identities.delete_project(other.id)
        assert tx.pools.grantees(second.id) == tx.pools.shares(second.id) == []
        tx.pools.grant(second.id, town.project.id)
        tx.topology.delete_pool(second.id)
        assert tx.pools.granted(town.project.id) == frozenset()


def test_a_share_is_counted_and_limited(town):
    pool, project = town.pool.id, town.project
    with town.world.store.write() as tx:
        other = town.world.project(tx)
        assert tx.pools.share(pool, project) == PoolShare(project.id, project.name, 0, -1)
        assert tx.pools.take(pool, project.id)
        tx.pools.limit(pool, project.id, 2)
        assert [tx.pools.take(pool, project.id) for _ in range(2)] == [True, False]
        assert tx.pools.share(pool, project) == PoolShare(project.id, project.name, 2, 2)
        tx.pools.limit(pool, project.id, 0)
        tx.pools.give(pool, project.id)
        assert not tx.pools.take(pool, project.id)
        tx.pools.limit(pool, project.id, -1)
        assert tx.pools.take(pool, project.id)
        tx.pools.limit(pool, other.id, 5)
        assert [share.used for share in tx.pools.shares(pool)] == [2, 0]
        assert tx.pools.shares(pool)[1] == PoolShare(other.id, other.name, 0, 5)


def test_days_are_counted(town):
    pool, watch = town.pool.id, town.world.watch
    with town.world.store.read() as tx:
        assert tx.pools.first_day(pool) is None
    for taken, given in ((3, 1), (0, 0), (1, 2)):
        with town.world.store.write() as tx:
            for _ in range(taken):
                tx.pools.take(pool, town.project.id)
            for _ in range(given):
                tx.pools.give(pool, town.project.id)
        watch.tick(86400)
    day = START.date()
    later = day + timedelta(days=2)
    with town.world.store.read() as tx:
        assert tx.pools.first_day(pool) == day
        assert tx.pools.days(pool, day) == [PoolDay(day, 3, 1), PoolDay(later, 1, 2)]
        assert tx.pools.days(pool, day + timedelta(days=1)) == [PoolDay(later, 1, 2)]


def test_whose_addresses_are_is_counted(town):
    with town.world.store.write() as tx:
        assert tx.pools.counts(town.pool.id) == (0, 1), "the router's own"
        other, second = town.world.project(tx), town.world.pool(tx, town.uplink, "203.0.113.0/24")
        for project in (town.project, other, other):
            tx.pools.take(town.pool.id, project.id)
        assert tx.pools.counts(town.pool.id) == (3, 1)
        tx.pools.give(town.pool.id, other.id)
        assert tx.pools.counts(town.pool.id) == (2, 1)
        assert tx.pools.counts(second.id) == (0, 0)


@pytest.fixture
def wide(town: Town) -> AddressPool:
    """A pool of which a fixed IP may have three floating IPs."""
    with town.world.store.write() as tx:
        made = replace(town.pool, per_fixed=3)
        tx.pools.save(made)
    return made


def test_a_fixed_ip_has_as_many_of_a_pool_as_that_lets_it(town, wide):
    world = town.world
    with world.store.write() as tx:
        rows = [town.floating(tx, f"198.51.100.{last}") for last in (40, 30, 20, 10 + 1)]
        for row in rows[:3]:
            tx.addresses.associate(row.id, town.fixed.id, wide.id, most=wide.per_fixed)
        with pytest.raises(Duplicate, match=r"associations\.fixed, associations\.pool, associations\.slot"):
            tx.addresses.associate(rows[3].id, town.fixed.id, wide.id, most=wide.per_fixed)
        assert tx.addresses.disassociate(rows[0].id)
        tx.addresses.associate(rows[3].id, town.fixed.id, wide.id, most=wide.per_fixed)
    (subject,) = pull(town, town.nic_key)
    assert isinstance(subject, NicIntent)
    # Not by their numbers: the one that was there first is the one that the guest leaves as.
    assert [str(public.address)[-2:] for public in subject.addresses[0].floating] == ["30", "20", "11"]


def test_associations_that_were_made_with_an_instance_are_known(town, wide):
    with town.world.store.write() as tx:
        plain, automatic = town.floating(tx), town.floating(tx, "198.51.100.21")
        tx.addresses.associate(plain.id, town.fixed.id, wide.id, most=2)
        tx.addresses.associate(automatic.id, town.fixed.id, wide.id, most=2, automatic=True)
        assert tx.addresses.automatic_of_fixed(town.fixed.id) == [automatic.id]
        tx.addresses.disassociate(automatic.id)
        tx.addresses.associate(automatic.id, town.fixed.id, wide.id, most=2)
        assert tx.addresses.automatic_of_fixed(town.fixed.id) == []


def test_an_uplink_goes_once_nothing_is_on_it(town):
    world = town.world
    with world.store.write() as tx:
        other = world.uplink(tx)
        with pytest.raises(Referenced):
            tx.topology.delete_uplink(town.uplink.id)
        tx.topology.delete_uplink(other.id)
        tx.topology.delete_uplink("never there")
        assert tx.topology.uplinks() == [town.uplink]
