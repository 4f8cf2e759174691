"""What a transaction promises, whatever it is about."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from mooring.model.accounts import Project
from mooring.operations.interfaces import Store
from mooring.store import SqlStore
from tests.store.world import World


def names(store: Store) -> list[str]:
    with store.read() as tx:
        return [project.name for project in tx.identities.projects()]


def test_it_commits_when_left_and_leaves_nothing_when_left_by_an_exception(world):
    with world.store.write() as tx:
        world.project(tx, "kept")
    with suppress(ZeroDivisionError), world.store.write() as tx:
        world.project(tx, "lost")
        raise ZeroDivisionError
    assert names(world.store) == ["kept"]


def test_it_sees_its_own_changes_and_nobody_else_does_before_it_commits(world):
    with world.store.write() as tx:
        world.project(tx, "mine")
        assert [project.name for project in tx.identities.projects()] == ["mine"]
        assert names(world.store) == []
    assert names(world.store) == ["mine"]


def test_a_read_is_one_snapshot_and_does_not_wait_for_a_writer(world):
    with world.store.write() as tx:
        world.project(tx, "first")
    with world.store.read() as before:
        assert len(before.identities.projects()) == 1
        with world.store.write() as tx:
            world.project(tx, "second")
            assert len(before.identities.projects()) == 1
        assert len(before.identities.projects()) == 1
    assert names(world.store) == ["first", "second"]


def test_sixty_four_readers_answer_while_a_writer_is_at_work(world):
    with world.store.write() as tx:
        world.project(tx, "first")
    with world.store.write() as tx, ThreadPoolExecutor(64) as readers:
        world.project(tx, "second")
        gate = threading.Barrier(64)

        def read() -> list[str]:
            with world.store.read() as inner:
                gate.wait(timeout=30)
                return [project.name for project in inner.identities.projects()]

        assert [job.result(timeout=30) for job in [readers.submit(read) for _ in range(64)]] == [["first"]] * 64


def test_a_read_transaction_cannot_write(world):
    with pytest.raises(RuntimeError, match="cannot write"), world.store.read() as tx:
        world.project(tx, "p")


def test_a_write_inside_a_write_is_refused_at_once_and_not_waited_for(world):
    with world.store.write() as tx:
        world.project(tx, "outer")
        with pytest.raises(RuntimeError, match="wait for itself"):
            world.store.write().__enter__()
    assert names(world.store) == ["outer"]


def test_what_was_committed_is_there_for_the_next_process(open_store, watch):
    first: SqlStore = open_store(durable=True)
    world = World(first, watch)
    with first.write() as tx:
        made: Project = world.project(tx, "p")
    first.close()
    with open_store(durable=True).read() as tx:
        assert tx.identities.projects() == [made]
