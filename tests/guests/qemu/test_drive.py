"""The config drive: what it says, and that its format is what others read."""

import json
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.guests.qemu import iso9660
from mooring.guests.qemu.drive import LABEL, config_drive, meta_data, network_data
from mooring.model.ids import InstanceId, NetworkId, NicId
from mooring.model.subjects import GuestNic, InjectedAddress, InstanceIntent
from tests.strategies import uuid

NETWORK = NetworkId(uuid("a", 1))
ASKS = GuestNic(NicId(uuid("d", 1)), NETWORK, "02:00:00:00:00:01", 1400)
TOLD = InjectedAddress(
    IPv4Interface("10.0.0.5/23"), IPv4Address("10.0.0.1"), (IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1")), "web-1"
)
FLAT = GuestNic(NicId(uuid("d", 2)), NETWORK, "02:00:00:00:00:02", 1500, TOLD)
GUEST = InstanceIntent(InstanceId(uuid("e", 1)), 1, "web ☃ 1", "web", (FLAT, ASKS))


class Volume:
    """An ISO 9660 volume as ECMA-119 has it, read by another hand than the one that wrote it: directories, not path tables."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        descriptor = content[16 * 2048 : 17 * 2048]
        assert descriptor[:7] == b"\x01CD001\x01"
        self.label = descriptor[40:72].decode().rstrip()
        self.blocks = both(descriptor, 80)
        self.root = descriptor[156:190]

    def walk(self, record: bytes, path: str = "") -> dict[str, bytes]:
        """All files below a directory's record, by their path as Linux shows it."""
        start, size = both(record, 2) * 2048, both(record, 10)
        extent = self.content[start : start + size]
        if not record[25] & 2:
            return {path: extent}
        found: dict[str, bytes] = {}
        position = 0
        while position < size and (length := extent[position]):
            child = extent[position : position + length]
            name = child[33 : 33 + child[32]]
            if name not in {b"\0", b"\1"}:
                shown = name.decode().lower().removesuffix(";1").removesuffix(".")
                found.update(self.walk(child, f"{path}/{shown}" if path else shown))
            position += length
        return found

    def path_table(self, order: str) -> list[tuple[str, int, int]]:
        size = both(self.content[16 * 2048 :], 132)
        start = struct.unpack_from(f"{order}I", self.content, 16 * 2048 + (140 if order == "<" else 148))[0] * 2048
        table = self.content[start : start + size]
        found: list[tuple[str, int, int]] = []
        while table:
            length, _, block, parent = struct.unpack_from(f"{order}BBIH", table)
            found.append((table[8 : 8 + length].decode(), block, parent))
            table = table[8 + length + length % 2 :]
        return found


def both(data: bytes, offset: int) -> int:
    little, big = struct.unpack_from("<I", data, offset)[0], struct.unpack_from(">I", data, offset + 4)[0]
    assert little == big
    return int(little)


def test_a_guest_is_told_who_it_is() -> None:
    assert meta_data(GUEST) == {"uuid": GUEST.id, "name": "web ☃ 1", "hostname": "web-1"}
    assert meta_data(replace(GUEST, name="a\x1b[31m\nb", nics=(ASKS,))) == {"uuid": GUEST.id, "name": "a[31mb"}


def test_each_nic_asks_or_is_told() -> None:
    said = network_data(GUEST)
    assert [(link["ethernet_mac_address"], link["mtu"]) for link in said["links"]] == [
        (FLAT.mac, 1500),
        (ASKS.mac, 1400),
    ]
    told, asks = said["networks"]
    assert asks == {"id": "network1", "link": said["links"][1]["id"], "network_id": NETWORK, "type": "ipv4_dhcp"}
    assert (told["type"], told["ip_address"], told["netmask"]) == ("ipv4", "10.0.0.5", "255.255.254.0")
    everywhere = ".".join("0000")
    assert told["routes"] == [{"network": everywhere, "netmask": everywhere, "gateway": "10.0.0.1"}]
    assert said["services"] == told["services"]
    assert [server["address"] for server in said["services"]] == ["9.9.9.9", "1.1.1.1"]


def test_a_network_without_a_way_out_has_no_route() -> None:
    alone = replace(FLAT, injected=InjectedAddress(IPv4Interface("10.0.0.5/24")))
    said = network_data(replace(GUEST, nics=(alone,)))
    assert (said["networks"][0]["routes"], said["services"]) == ([], [])


def test_it_is_found_by_its_label_and_lies_where_cloud_init_looks() -> None:
    drive = config_drive(GUEST)
    volume = Volume(drive)
    assert volume.label == LABEL == "config-2"
    # Where blkid and our own init look.
    assert drive[32808:32816] == b"config-2"
    files = volume.walk(volume.root)
    assert sorted(files) == ["openstack/latest/meta_data.json", "openstack/latest/network_data.json"]
    assert json.loads(files["openstack/latest/meta_data.json"]) == meta_data(GUEST)
    assert json.loads(files["openstack/latest/network_data.json"]) == network_data(GUEST)


def test_the_same_guest_gives_the_same_bytes() -> None:
    assert config_drive(GUEST) == config_drive(replace(GUEST, generation=9))


names = st.from_regex(r"[a-z0-9_]{1,12}(\.[a-z]{1,4})?", fullmatch=True)
paths = st.lists(st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True), max_size=3).flatmap(
    lambda above: names.map(lambda name: "/".join([*(f"d{part}" for part in above), name]))
)


@given(st.dictionaries(paths, st.binary(max_size=5000), max_size=12))
@settings(max_examples=40)
def test_what_was_put_in_comes_out(files: dict[str, bytes]) -> None:
    # A name is a file or a directory.
    files = {path: content for path, content in files.items() if not any(o.startswith(f"{path}/") for o in files)}
    made = iso9660.volume("x", files)
    volume = Volume(made)
    assert volume.walk(volume.root) == files
    assert len(made) == volume.blocks * 2048
    assert volume.path_table("<") == volume.path_table(">")


def test_the_path_table_names_every_directory_after_its_parent() -> None:
    volume = Volume(iso9660.volume("x", {"b/c/one": b"1", "a/two": b"2"}))
    table = volume.path_table("<")
    assert [(name, parent) for name, _, parent in table] == [("\0", 1), ("A", 1), ("B", 1), ("C", 3)]


@pytest.mark.parametrize("name", ["Capital", "two.dots.x", "sp ace", "x" * 31, "", "dash-ed"])
def test_names_that_the_format_has_no_room_for_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="level 2"):
        iso9660.volume("x", {name: b""})


def test_a_full_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        iso9660.volume("x", {f"file_number_{number}": b"" for number in range(60)})
