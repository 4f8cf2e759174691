from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.model.ids import ProjectId
from mooring.model.nouns import Quota, Resource
from mooring.model.records import Duplicate, Referenced, Remembered

INSTANCES, FLOATING_IPS = Resource.INSTANCES, Resource.FLOATING_IPS


def test_counting_stops_at_the_limit(world):
    with world.store.write() as tx:
        one, two = world.project(tx), world.project(tx)
        tx.quotas.set(one.id, INSTANCES, 2)
        tx.quotas.set(two.id, INSTANCES, 1)
        assert [tx.quotas.take(one.id, INSTANCES) for _ in range(3)] == [True, True, False]
        assert tx.quotas.get(one.id, INSTANCES) == Quota(INSTANCES, 2, 2)
        assert tx.quotas.take(two.id, INSTANCES)
        tx.quotas.give(one.id, INSTANCES)
        assert not tx.quotas.take(one.id, INSTANCES, 2)
        assert tx.quotas.take(one.id, INSTANCES)


def test_without_a_limit_nothing_may_be_had_and_with_minus_one_everything(world):
    with world.store.write() as tx:
        project = world.project(tx)
        assert tx.quotas.get(project.id, INSTANCES) == Quota(INSTANCES, 0, 0)
        assert not tx.quotas.take(project.id, INSTANCES)
        tx.quotas.set(project.id, INSTANCES, -1)
        assert tx.quotas.take(project.id, INSTANCES, 1_000_000)
        assert not tx.quotas.take(project.id, FLOATING_IPS)
        with pytest.raises(Referenced):
            tx.quotas.set(ProjectId("x"), INSTANCES, 1)


def test_a_limit_below_what_is_used_takes_nothing_away_and_gives_no_more(world):
    with world.store.write() as tx:
        project = world.project(tx)
        tx.quotas.set(project.id, INSTANCES, 5)
        tx.quotas.take(project.id, INSTANCES, 5)
        tx.quotas.set(project.id, INSTANCES, 2)
        assert tx.quotas.get(project.id, INSTANCES) == Quota(INSTANCES, 5, 2)
        assert not tx.quotas.take(project.id, INSTANCES)
        tx.quotas.give(project.id, INSTANCES, 4)
        assert [tx.quotas.take(project.id, INSTANCES) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("verb,number", [("give", 1), ("set", -2)])
def test_the_database_refuses_what_cannot_be(world, verb, number):
    with world.store.write() as tx:
        project = world.project(tx)
        tx.quotas.set(project.id, INSTANCES, 5)
    with pytest.raises(Exception, match=r"CHECK|ck_quotas"), world.store.write() as tx:
        getattr(tx.quotas, verb)(project.id, INSTANCES, number)
    with world.store.read() as tx:
        assert tx.quotas.get(project.id, INSTANCES) == Quota(INSTANCES, 0, 5)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(-1, 6)),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("give"), st.integers(1, 3)),
    ),
    max_size=30,
)


@given(steps=steps)
@settings(max_examples=60)
def test_any_history_counts_as_a_plain_counter_does(steps, crowd):
    used, limit = 0, 0
    with crowd.store.write() as tx:
        project = crowd.project(tx)
        for verb, number in steps:
            match verb:
                case "set":
                    tx.quotas.set(project.id, INSTANCES, number)
                    limit = number
                case "take":
                    may = limit == -1 or used + number <= limit
                    assert tx.quotas.take(project.id, INSTANCES, number) == may
                    used += number if may else 0
                case "give" if used >= number:
                    tx.quotas.give(project.id, INSTANCES, number)
                    used -= number
            assert tx.quotas.get(project.id, INSTANCES) == Quota(INSTANCES, used, limit)


def test_an_idempotency_key_is_remembered_once_per_project(world):
    with world.store.write() as tx:
        one, two = world.project(tx), world.project(tx)
        tx.memory.remember(one.id, "key", Remembered("a", "made"))
        tx.memory.remember(two.id, "key", Remembered("b", "other"))
        with pytest.raises(Duplicate, match=r"memory\.project, memory\.key"):
            tx.memory.remember(one.id, "key", Remembered("c", "more"))
    with world.store.read() as tx:
        assert tx.memory.recall(one.id, "key") == Remembered("a", "made")
        assert tx.memory.recall(two.id, "key") == Remembered("b", "other")
        assert tx.memory.recall(one.id, "nothing") is None


def test_old_idempotency_keys_are_forgotten_oldest_first(world):
    with world.store.write() as tx:
        project = world.project(tx)
    for key in ("first", "second", "third"):
        with world.store.write() as tx:
            tx.memory.remember(project.id, key, Remembered("a", key))
        world.watch.tick()
    before = world.watch.moment - timedelta(seconds=1)  # the third was remembered just then

    def known() -> list[str]:
        with world.store.read() as tx:
            return [key for key in ("first", "second", "third") if tx.memory.recall(project.id, key) is not None]

    for expected, count in ((["second", "third"], 1), (["third"], 1), (["third"], 0)):
        with world.store.write() as tx:
            assert tx.memory.forget(before, 1) == count
        assert known() == expected
