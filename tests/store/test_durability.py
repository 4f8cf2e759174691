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
from mooring.model.nouns import (AddressKind, Resource)
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
time.sleep(60)  # to be killed, however fast the machine is
"""


@pytest.fixture
def town(tmp_path: Path) -> Town:
    store = SqlStore(f"sqlite:///{tmp_path / 'mooring.db'}")
    town = Town.build(World(store))
    with store.write() as tx:
        tx.quotas.set(town.project.id, Resource.FLOATING_IPS, -1)
    store.close()
    return town


class Writer:
    """A process that writes and says so, in a file: a pipe's reader may have bytes in hand when its writer is killed."""

    def __init__(self, folder: Path, town: Town, stop_at: int) -> None:
        self._said = folder / "said"
        arguments = [f"sqlite:///{folder / 'mooring.db'}", town.project.id, town.pool.id, str(stop_at)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=said)

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 60
        while line not in self._lines():
            assert time.monotonic() < deadline
            assert self._process.poll() is None
            time.sleep(0.001)

    def kill(self) -> list[str]:
        """Kill it and return what it had said by then."""
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(timeout=60) == -signal.SIGKILL
        return self._lines()

    def _lines(self) -> list[str]:
        return self._said.read_text().split("\n")[:-1]


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
    writer = Writer(tmp_path, town, stop_at=7)
    writer.wait_for("in the middle")
    writer.kill()
    assert owned(tmp_path / "mooring.db", town) == {address(number) for number in range(7)}


@pytest.mark.parametrize("moment", [0.0, 0.004, 0.011, 0.023])
def test_what_was_acknowledged_is_there_whenever_the_writer_dies(town, tmp_path, moment):
    writer = Writer(tmp_path, town, stop_at=-1)
    writer.wait_for("0")
    time.sleep(moment)
    acknowledged = [int(line) for line in writer.kill()]
    assert acknowledged == list(range(len(acknowledged)))
    # It may have died between the commit and the word.
    kept = owned(tmp_path / "mooring.db", town)
    assert kept in [{address(number) for number in range(len(acknowledged) + more)} for more in (0, 1)]


def test_the_settings_that_survive_a_power_cut(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'mooring.db'}")
    settings = {}
    with store.write() as tx:
        for pragma in ("journal_mode", "synchronous", "foreign_keys"):
            settings[pragma] = tx.addresses._session.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
    store.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
