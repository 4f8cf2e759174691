"""DHCP entries are lines of a file; it is read once, and again whenever somebody changed it, however little."""

import os
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.backends.linux.entries import Entries
from mooring.compile.facts import Key, Place, PlaceKind, Refused, Row
from mooring.compile.tables import DHCP_HOST

ROUTER = Place(PlaceKind.ROUTER, "10000000-0000-4000-8000-000000000001")
NETWORK = "20000000-0000-4000-8000-000000000001"
LONG_AGO = 0.06


def entry(number: int, name: str = "") -> tuple[Key, Row]:
    mac = f"02:00:00:00:00:{number:02x}"
    return Key(DHCP_HOST, ROUTER, (NETWORK, mac)), (IPv4Address(f"10.0.0.{number}"), name)


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    return Entries(tmp_path / "hosts", ROUTER, NETWORK)


def test_no_file_has_no_entries(entries: Entries) -> None:
    assert entries.read() == {}


def test_entries_come_change_and_go(entries: Entries) -> None:
    entries.change(dict([entry(1, "one"), entry(2)]), ())
    assert entries.path.read_text() == "02:00:00:00:00:01,10.0.0.1,one\n02:00:00:00:00:02,10.0.0.2\n"
    assert entries.read() == dict([entry(1, "one"), entry(2)])
    key, _ = entry(2)
    entries.change({key: (IPv4Address("10.0.0.9"), "nine")}, [key, entry(1)[0]])
    assert entries.read() == {key: (IPv4Address("10.0.0.9"), "nine")}


def test_an_unchanged_file_is_not_read_again(entries: Entries) -> None:
    entries.change(dict([entry(1)]), ())
    time.sleep(LONG_AGO)
    assert entries.read() is entries.read()


def test_a_change_is_seen_whatever_way_it_is_made(entries: Entries) -> None:
    entries.change(dict([entry(1)]), ())
    time.sleep(LONG_AGO)
    entries.read()
    # In place, of the same length, with the time of its content set back.
    before = entries.path.stat()
    with entries.path.open("r+") as file:
        file.seek(len("02:00:00:00:00:01,"))
        file.write("10.0.0.9")
    os.utime(entries.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [str(value[0]) for value in entries.read().values()] == ["10.0.0.9"]
    entries.path.unlink()
    assert entries.read() == {}
    entries.path.mkdir()
    assert entries.read() == {}
    entries.change(dict([entry(1)]), ())
    assert entries.read() == dict([entry(1)])


def test_a_file_that_was_written_this_moment_is_read_again(entries: Entries) -> None:
    """Kernels before 6.13 give two changes in some milliseconds the same time."""
    for number in range(1, 50):
        entries.path.write_text(f"02:00:00:00:00:01,10.0.0.{number + 100}\n")
        assert [str(value[0]) for value in entries.read().values()] == [f"10.0.0.{number + 100}"]


@pytest.mark.parametrize(
    "stranger",
    [
        "# by hand\n",
        "dhcp-range=1.2.3.4\n",
        "02:00:00:00:00:01,10.0.0.1\n",
        "02:00:00:00:00:02, 10.0.0.2\n",
        "x",
        "\n",
        "ü\n",
    ],
)
def test_a_line_of_another_is_wrong_and_goes_with_the_next_change(entries: Entries, stranger: str) -> None:
    entries.change(dict([entry(1)]), ())
    with entries.path.open("a") as file:
        file.write(stranger)
    found = dict(entries.read())
    assert found.pop(entry(1)[0]) == entry(1)[1]
    assert list(found.values()) == [("not as we write it",)]
    entries.change({}, found)
    assert entries.read() == dict([entry(1)])


@pytest.mark.parametrize("name", ["x,set:evil", "x\ndhcp-range=1.2.3.4", "-x", "x" * 64, "ü"])
def test_a_name_never_becomes_a_setting(entries: Entries, name: str) -> None:
    entries.change(dict([entry(1)]), ())
    with pytest.raises(Refused, match="host name"):
        entries.change(dict([entry(2, name)]), ())
    assert entries.read() == dict([entry(1)])


def test_entries_of_no_server_are_refused(tmp_path: Path) -> None:
    lost = Entries(tmp_path / "nowhere" / "hosts", ROUTER, NETWORK)
    with pytest.raises(Refused, match="no DHCP server"):
        lost.change(dict([entry(1)]), ())
    lost.change({}, [entry(1)[0]])
