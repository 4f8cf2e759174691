"""The commands after a restore: they find the database by the configuration file, whichever it is, and whoever else has it open."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mooring.cli.app import app
from mooring.main.clock import SystemClock
from mooring.model.ids import host_id
from mooring.model.nouns import Host
from mooring.model.subjects import HostRole, Report, SubjectKey, SubjectKind
from mooring.operations.epochs import EpochOperations
from mooring.store import Options, SqlStore
from tests.store.postgres import Postgres

KEY = SubjectKey(SubjectKind.NETWORK, "00000000-0000-4000-8000-0000000000aa")
HOST = host_id("host-1")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'mooring.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.new()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """Return the database as the running processes have it open, with a host that holds one thing."""
    store = SqlStore(url, Options(durable=False))
    host = Host(HOST, "host-1", compute=True, gateway=True, last_seen=datetime.now(UTC))
    with store.write() as tx:
        tx.topology.add_host(host)
        tx.deliveries.place(KEY, HOST, HostRole.COMPUTE)
        tx.deliveries.confirm(HOST, Report(KEY, HostRole.COMPUTE, tx.deliveries.publish(KEY)[0]))
    yield store
    store.close()


@pytest.fixture
def mooring(url: str, tmp_path: Path) -> Callable[..., Result]:
    """Return what runs a command with the configuration file of a service."""
    (tmp_path / "credentials").touch(mode=0o600)
    service = (
        ""
        if url.startswith("sqlite")
        else f'[bus]\nservers = ["nats://127.0.0.1:1"]\ncredentials = "{tmp_path}/credentials"\n'
    )
    accounts = '[[identity.accounts]]\nuser = "a"\npassword = "geheim"\nproject = "p"\nrole = "admin"\n'
    file = tmp_path / "mooring.toml"
    file.write_text(f'[database]\nurl = "{url}"\n{service}{accounts}')

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["database", *arguments, "--config", str(file)], prog_name="mooring")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_an_epoch_begins_beside_whoever_has_the_database_open(store: SqlStore, mooring: Callable[..., Result]) -> None:
    result = mooring("renew")
    assert result.exit_code == 0, result.output
    with store.read() as tx:
        epoch = tx.deliveries.epoch()
        assert list(tx.deliveries.behind()) == [HOST]
    assert result.stdout == f"epoch {epoch} has begun\n"
    result = mooring("renew", "--after", str(epoch + 1000))
    assert result.exit_code == 0, result.output
    with store.read() as tx:
        assert tx.deliveries.epoch() > epoch + 1000


def test_waiting_names_the_hosts_that_do_not_follow(store: SqlStore, mooring: Callable[..., Result]) -> None:
    result = mooring("wait", "--timeout", "0")
    assert result.exit_code == 1
    assert result.stderr == "mooring: host host-1 has not been heard of for long enough\n"

    def speak() -> None:
        """Let the host be heard of later than the moment at which the command begins to wait."""
        with store.write() as tx:
            tx.topology.heard_of([HOST], datetime(2100, 1, 1, tzinfo=UTC))

    speak()
    assert mooring("wait", "--timeout", "60").stdout == "every host has followed\n"
    mooring("renew")
    speak()
    result = mooring("wait", "--timeout", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "mooring: host host-1 has not confirmed everything\n"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", ["renew", "wait"])
def test_a_database_that_is_not_there_is_not_made(mooring: Callable[..., Result], url: str, command: str) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    result = mooring(command)
    assert (result.exit_code, result.stderr) == (1, f"mooring: there is no database {file}\n")
    assert not file.exists()


def test_a_copy_that_was_taken_while_it_was_open_is_put_back(tmp_path: Path) -> None:
    """As docs/operating/backups.md says: with SQLite's own backup, and without the journal of what came later."""
    file, copy = tmp_path / "mooring.db", tmp_path / "copy.db"
    store = SqlStore(f"sqlite:///{file}", Options(durable=False))
    with store.write() as tx:
        tx.topology.add_host(Host(HOST, "host-1", compute=True, gateway=True))
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    before = EpochOperations(store, SystemClock()).begin()
    store.close()
    for journal in tmp_path.glob("mooring.db-*"):
        journal.unlink()
    shutil.copyfile(copy, file)
    again = SqlStore(f"sqlite:///{file}", Options(durable=False))
    with again.read() as tx:
        assert tx.deliveries.epoch() == 0
        assert [host.name for host in tx.topology.hosts()] == ["host-1"]
    assert EpochOperations(again, SystemClock()).begin() >= before
    again.close()
