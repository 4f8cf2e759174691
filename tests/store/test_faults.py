"""What a database's errors become: who asked can be told, and nothing is half done."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from mooring.model.faults import Unavailable
from mooring.store import Options, SqlStore
from tests.store.world import Town, World

QUICK = Options(durable=False, patience=0.2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mooring.db"


@pytest.fixture
def quick(path):
    store = SqlStore(f"sqlite:///{path}", QUICK)
    yield store
    store.close()


def test_another_process_that_holds_the_database_makes_it_unavailable_and_not_broken(path, quick):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught, quick.write():
        pass
    assert caught.value.detail is not None
    assert "SQLITE_BUSY" in caught.value.detail
    with quick.read() as tx:
        assert tx.identities.projects() == []
    other.execute("ROLLBACK")
    other.close()
    with quick.write() as tx:
        World(quick).project(tx)


def test_a_writer_that_waits_too_long_for_others_is_told_so(quick):
    holder = quick.write()
    holder.__enter__()
    quick._holder = None  # as if another thread held it
    with pytest.raises(Unavailable) as caught, quick.write():
        pass
    assert caught.value.retry_after > 0
    assert "sqlite" not in caught.value.reason.lower()
    holder.__exit__(None, None, None)
    with quick.write() as tx:
        World(quick).project(tx)


def test_a_full_disk_makes_it_unavailable_and_leaves_nothing_half_done(quick):
    world = World(quick)
    town = Town.build(world)

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(quick._writer, "connect", limit)
    quick._writer.dispose()
    kept = 0

    def fill() -> None:
        nonlocal kept
        for number in range(100):
            with quick.write() as tx:
                for step in range(10):
                    world.fixed(tx, town.nic, f"10.0.{number + 1}.{step}")
            kept += 10

    with pytest.raises(Unavailable) as caught:
        fill()
    assert caught.value.detail is not None
    assert "SQLITE_FULL" in caught.value.detail
    event.remove(quick._writer, "connect", limit)
    with quick.read() as tx:
        assert len(tx.addresses.fixed_of_nic(town.nic.id)) == kept + 1
    # There is room again.
    with quick.write() as tx:
        world.fixed(tx, town.nic, "10.0.200.1")


def test_a_place_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable) as caught:
        SqlStore(f"sqlite:///{tmp_path}/no/such/place/mooring.db", QUICK)
    assert caught.value.detail is not None
    assert "SQLITE_CANTOPEN" in caught.value.detail


def test_a_file_that_is_no_database_is_left_alone(path):
    path.write_bytes(b"This is somebody's diary, and no database. " * 100)
    with pytest.raises(Unavailable) as caught:
        SqlStore(f"sqlite:///{path}", QUICK)
    assert caught.value.detail is not None
    assert "SQLITE_NOTADB" in caught.value.detail
    assert path.read_bytes().startswith(b"This is somebody's diary")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/mooring"])
def test_a_url_that_cannot_be_right_is_refused_with_the_reason(url):
    with pytest.raises(ValueError, match="mooring"):
        SqlStore(url)


def test_what_a_stranger_may_read_has_no_sql_in_it(path, quick):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught, quick.write():
        pass
    other.close()
    assert caught.value.reason == "The database is not available."
    assert str(path) not in caught.value.reason
