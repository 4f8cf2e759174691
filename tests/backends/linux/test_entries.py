"""DHCP entries are files; each is read once, and again whenever somebody changed it, however little."""

import os
import time
from pathlib import Path

from mooring.backends.linux.dnsmasq import Dnsmasq
from mooring.compile.facts import Key, Place, PlaceKind, Row

ROUTER = Place(PlaceKind.ROUTER, "10000000-0000-4000-8000-000000000001")
NETWORK = "20000000-0000-4000-8000-000000000001"
LONG_AGO = 0.06


class Entries:
    def __init__(self, directory: Path) -> None:
        self.home = directory / ROUTER.id / NETWORK
        self.files = self.home / "hosts"
        self.files.mkdir(parents=True)
        self._dnsmasq = Dnsmasq(directory, lambda _place, _processes: None)

    def write(self, number: int, address: str) -> Path:
        path = self.files / f"02-00-00-00-00-{number:02x}"
        path.write_text(f"02:00:00:00:00:{number:02x},{address}\n")
        return path

    def read(self) -> dict[str, tuple[Key, Row]]:
        return {str(key.row[1]): (key, value) for key, value in self._dnsmasq._entries(ROUTER, NETWORK, self.home)}

    def addresses(self) -> dict[str, str]:
        return {mac[-2:]: str(value[0]) for mac, (_, value) in self.read().items()}


def test_an_unchanged_file_is_the_same_fact(tmp_path: Path):
    entries = Entries(tmp_path)
    entries.write(1, "10.0.0.1")
    time.sleep(LONG_AGO)
    first, second = entries.read(), entries.read()
    assert first == second
    for mac, (key, value) in first.items():
        assert second[mac][0] is key
        assert second[mac][1] is value


def test_a_change_is_seen_whatever_way_it_is_made(tmp_path: Path):
    entries = Entries(tmp_path)
    paths = [entries.write(number, f"10.0.0.{number}") for number in range(1, 5)]
    time.sleep(LONG_AGO)
    assert entries.addresses() == {f"{number:02x}": f"10.0.0.{number}" for number in range(1, 5)}
    # In place, of the same length, with the time of its content set back.
    before = paths[0].stat()
    with paths[0].open("r+") as file:
        file.seek(len("02:00:00:00:00:01,"))
        file.write("10.0.0.9")
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    # By another file in its place, by no file, and by a name that leads nowhere.
    other = entries.files / ".new"
    other.write_text("02:00:00:00:00:02,10.0.0.8\n")
    other.replace(paths[1])
    paths[2].unlink()
    paths[3].unlink()
    paths[3].symlink_to("nowhere")
    assert entries.addresses() == {"01": "10.0.0.9", "02": "10.0.0.8", "04": "not as we write it"}


def test_a_file_that_was_written_this_moment_is_read_again(tmp_path: Path):
    """Kernels before 6.13 give two changes in some milliseconds the same time."""
    entries = Entries(tmp_path)
    for number in range(1, 50):
        entries.write(1, f"10.0.0.{number + 100}")
        assert entries.addresses() == {"01": f"10.0.0.{number + 100}"}
