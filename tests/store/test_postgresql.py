"""What PostgreSQL adds to what can go wrong: a server that goes and comes back, sessions, and others who use it."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from mooring.model.faults import Unavailable
from mooring.store import Options, SqlStore
from mooring.store.postgresql import WRITERS
from tests.store.postgres import Postgres
from tests.store.world import World

PATIENT = Options(durable=False)


@pytest.fixture
def url(postgres_url: str, postgres: Postgres) -> Iterator[str]:
    yield postgres_url
    postgres.empty("contract")


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url, PATIENT)
    yield store
    store.close()


def names(store: SqlStore) -> list[str]:
    with store.read() as tx:
        return [project.name for project in tx.identities.projects()]


def ask(tx, statement: str):
    return tx.addresses._session.connection.execute(text(statement)).scalar()


def test_what_was_acknowledged_is_on_the_disk_whatever_others_have_set(postgres: Postgres, postgres_url: str):
    postgres.do("contract", "ALTER DATABASE contract SET synchronous_commit = off")
    store = SqlStore(f"{postgres_url}&options=-c%20work_mem%3D9MB")
    with store.write() as tx:
        assert ask(tx, "SHOW synchronous_commit") == "on"
        assert ask(tx, "SHOW work_mem") == "9MB"
        assert ask(tx, "SHOW transaction_isolation") == "read committed"
        assert ask(tx, "SHOW application_name") == "mooring writer"
        assert ask(tx, "SHOW lock_timeout") == "10s"
        assert ask(tx, "SHOW statement_timeout") == "30s"
        assert ask(tx, "SHOW idle_in_transaction_session_timeout") == "5s"
    with store.read() as tx:
        assert ask(tx, "SHOW transaction_isolation") == "repeatable read"
        assert ask(tx, "SHOW transaction_read_only") == "on"
    store.close()
    postgres.do("contract", "ALTER DATABASE contract RESET synchronous_commit")


def test_a_server_that_was_away_is_not_noticed_by_who_comes_later(
    postgres: Postgres, postgres_url: str, store: SqlStore
):
    world = World(store)
    # Durably: this one must outlive a server that is killed.
    durable = SqlStore(postgres_url)
    with durable.write() as tx:
        world.project(tx, "before")
    durable.close()
    there = ["before"]
    assert names(store) == there
    for end in (postgres.kill, postgres.stop):
        end()
        for _ in range(2):
            with pytest.raises(Unavailable):
                names(store)
            with pytest.raises(Unavailable), store.write():
                pass
        postgres.start()
        assert names(store) == there
        there.append(f"after {end.__name__}")
        with store.write() as tx:
            world.project(tx, there[-1])


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_goes_in_the_middle_has_done_nothing(postgres: Postgres, store: SqlStore, end: str):
    world = World(store)

    def change() -> None:
        with store.write() as tx:
            world.project(tx, "half done")
            getattr(postgres, end)()
            world.project(tx, "never")

    with pytest.raises(Unavailable) as caught:
        change()
    assert caught.value.reason == "The database is not available."
    postgres.start()
    assert names(store) == []


def test_a_server_that_goes_before_the_commit_is_no_success(postgres: Postgres, store: SqlStore):
    def change() -> None:
        with store.write() as tx:
            World(store).project(tx, "not committed")
            postgres.kill()

    with pytest.raises(Unavailable):
        change()
    postgres.start()
    assert names(store) == []


def test_one_session_that_is_ended_by_an_administrator(postgres: Postgres, store: SqlStore):
    def change() -> None:
        with store.write() as tx:
            World(store).project(tx, "half done")
            postgres.do(
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mooring%'",
            )
            World(store).project(tx, "never")

    with pytest.raises(Unavailable) as caught:
        change()
    assert "57P01" in str(caught.value.detail)
    assert names(store) == []


def test_a_writer_waits_for_those_of_other_processes_and_not_for_ever(postgres: Postgres, url: str):
    impatient = SqlStore(url, Options(durable=False, patience=0.2))
    with psycopg.connect(postgres.conninfo("contract")) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [WRITERS])
        with pytest.raises(Unavailable) as caught, impatient.write():
            pass
        assert caught.value.retry_after == 1
        assert "55P03" in str(caught.value.detail)
        assert names(impatient) == []
    with impatient.write() as tx:
        World(impatient).project(tx, "later")
    impatient.close()


def test_a_writer_that_was_stopped_in_the_middle_loses_its_turn(url: str, store: SqlStore):
    slow = SqlStore(url, Options(durable=False, patience=1.0))
    reached, late = threading.Event(), []

    def stop_in_the_middle() -> None:
        try:
            with slow.write() as tx:
                World(slow).project(tx, "too late")
                reached.set()
                time.sleep(2)
        except Unavailable as fault:
            late.append(fault)

    thread = threading.Thread(target=stop_in_the_middle)
    thread.start()
    assert reached.wait(10)
    with store.write() as tx:
        World(store).project(tx, "in time")
    assert thread.is_alive()
    thread.join()
    assert len(late) == 1
    assert names(store) == ["in time"]
    slow.close()


def test_an_error_that_somebody_swallowed_is_no_commit(store: SqlStore):
    """PostgreSQL answers the COMMIT of a broken transaction with a ROLLBACK, and with no error."""

    def change() -> None:
        with store.write() as tx:
            World(store).project(tx, "lost")
            with pytest.raises(IntegrityError):
                ask(tx, "INSERT INTO cursors (owner) VALUES ('x') RETURNING 1")

    with pytest.raises(RuntimeError, match="nothing of that can be kept"):
        change()
    assert names(store) == []


@pytest.mark.parametrize("state", ["40001", "40P01", "53100", "53200", "57014", "58030", "XX001", "25P03"])
def test_what_a_server_can_lack(store: SqlStore, state: str):
    def change() -> None:
        with store.write() as tx:
            World(store).project(tx, "half done")
            tx.addresses._session.connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'as it happens' USING ERRCODE = '{state}'; END $$"
            )

    with pytest.raises(Unavailable) as caught:
        change()
    assert state in str(caught.value.detail)
    assert caught.value.retry_after == (1 if state.startswith("40") else 5)
    assert names(store) == []


def test_too_many_connections(postgres: Postgres, postgres_url: str):
    postgres.do(
        "contract", "CREATE ROLE few LOGIN CONNECTION LIMIT 1", "GRANT ALL ON ALL TABLES IN SCHEMA public TO few"
    )
    store = SqlStore(postgres_url.replace("mooring@", "few@"), PATIENT)
    with pytest.raises(Unavailable) as caught:
        names(store)
    assert "too many connections" in str(caught.value.detail)
    store.close()
    postgres.do("contract", "DROP OWNED BY few", "DROP ROLE few")


@pytest.mark.parametrize(
    "instead, why",
    [("mooring@/nowhere", "does not exist"), ("nobody@/contract", "does not exist"), ("mooring@nowhere.invalid/x", "")],
)
def test_what_cannot_be_reached_is_unavailable_with_the_reason_in_the_log(postgres_url: str, instead: str, why: str):
    url = postgres_url.replace("mooring@/contract", instead)
    with pytest.raises(Unavailable) as caught:
        SqlStore(url if "invalid" not in url else url.partition("?")[0], PATIENT)
    assert why in str(caught.value.detail)
    assert caught.value.reason == "The database is not available."


def test_a_standby_is_not_written_to(postgres: Postgres, postgres_url: str):
    postgres.do("postgres", "ALTER DATABASE contract SET default_transaction_read_only = on")
    with pytest.raises(Unavailable) as caught:
        SqlStore(postgres_url, PATIENT)
    assert "read-only" in str(caught.value.detail)
    postgres.do("postgres", "ALTER DATABASE contract RESET default_transaction_read_only")


def test_other_drivers_are_refused_with_the_one_that_is_meant():
    with pytest.raises(ValueError, match=r"through psycopg, postgresql\+psycopg://"):
        SqlStore("postgresql+psycopg2://mooring@/mooring")


def test_the_time_is_the_servers_and_stands_still_in_a_transaction(store: SqlStore):
    with store.write() as tx:
        now = tx.addresses._session.now()
        assert now.utcoffset() is not None
        assert abs(time.time() - now.timestamp()) < 5
        assert tx.addresses._session.now() == now
