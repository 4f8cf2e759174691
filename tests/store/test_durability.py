"""kill -9 of a writer: what it acknowledged is there, and what it had not finished is not.

A killed process loses nothing that it gave to the kernel, so this says nothing of a power cut: for that see reliability.md 2.5, where
every crash point of this journal mode was replayed, and `test_the_settings_that_survive_a_power_cut`, which holds those settings.
"""

import signal
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.model.nouns import Resource
from mooring.store import SqlStore
from tests.store.world import Town, World

WRITER = """
import sys, time
from ipaddress import IPv4Address
from mooring.model.ids import AddressId, PoolId, ProjectId
from mooring.model.nouns import AddressKind, Resource
from mooring.model.records import AddressRow
from mooring.store import SqlStore

url, project, pool, stop_at = sys.argv[1], ProjectId(sys.argv[2]), PoolId(sys.argv[3]), int(sys.argv[4])
store = SqlStore(url)
for number in range(230):
    with store.write() as tx:
        assert tx.quotas.take(project, Resource.FLOATING_IPS)
        address = IPv4Address("198.51.100.11") + number
        row = AddressRow(AddressId(f"a-{number}"), "public", address, AddressKind.FLOATING, project=project, pool=pool)
        assert tx.addresses.take(row)
        if number == stop_at:
            print("in the middle", flush=True)
            time.sleep(60)
    print(number, flush=True)
"""


@pytest.fixture
def town(tmp_path: Path) -> Town:
    store = SqlStore(f"sqlite:///{tmp_path / 'mooring.db'}")
    town = Town.build(World(store))
    with store.write() as tx:
        tx.quotas.set(town.project.id, Resource.FLOATING_IPS, -1)
    store.close()
    return town


def start(path: Path, town: Town, stop_at: int) -> "subprocess.Popen[str]":
    arguments = [f"sqlite:///{path}", town.project.id, town.pool.id, str(stop_at)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)


def kill(writer: "subprocess.Popen[str]") -> list[str]:
    """Kill a writer and return what it had acknowledged by then."""
    writer.send_signal(signal.SIGKILL)
    said, _ = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    return said.split("\n")[:-1]


def owned(path: Path, town: Town) -> set[IPv4Address]:
    """Open the database as the next process would, and return the project's addresses; counters must agree with rows."""
    store = SqlStore(f"sqlite:///{path}")
    with store.read() as tx:
        found = {floating.address for floating in tx.addresses.floating_ips(town.project.id)}
        first, last = IPv4Address("198.51.100.11"), IPv4Address("198.51.100.254")
        assert tx.quotas.get(town.project.id, Resource.FLOATING_IPS).used == len(found)
        assert tx.addresses.count("public", first, last) == len(found)
        assert tx.addresses._session.connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert tx.addresses._session.connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    store.close()
    return found


def address(number: int) -> IPv4Address:
    return IPv4Address("198.51.100.11") + number


def test_a_transaction_that_was_under_way_never_was(town, tmp_path):
    path = tmp_path / "mooring.db"
    writer = start(path, town, stop_at=7)
    assert writer.stdout is not None
    while writer.stdout.readline() != "in the middle\n":
        pass
    kill(writer)
    assert owned(path, town) == {address(number) for number in range(7)}


@pytest.mark.parametrize("moment", [0.0, 0.004, 0.011, 0.023])
def test_what_was_acknowledged_is_there_whenever_the_writer_dies(town, tmp_path, moment):
    path = tmp_path / "mooring.db"
    writer = start(path, town, stop_at=-1)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "0\n"
    time.sleep(moment)
    acknowledged = {0, *map(int, kill(writer))}
    assert acknowledged == set(range(len(acknowledged)))
    # It may have died between the commit and the word.
    kept = owned(path, town)
    assert kept in ({address(n) for n in acknowledged}, {address(n) for n in range(len(acknowledged) + 1)})


def test_the_settings_that_survive_a_power_cut(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'mooring.db'}")
    settings = {}
    with store.write() as tx:
        for pragma in ("journal_mode", "synchronous", "foreign_keys"):
            settings[pragma] = tx.addresses._session.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
    store.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
