"""The monitor's client against a QEMU that says what a test wants."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mooring.guests.qemu import monitor
from mooring.model.subjects import GuestFailure

GREETING: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}


class Qemu:
    """Answers each command by what `answers` has for it, after what comes by itself."""

    def __init__(self, directory: int) -> None:
        self.answers: dict[str, Any] = {"qmp_capabilities": {}}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.files: list[int] = []
        self.greeting = json.dumps(GREETING).encode() + b"\r\n"
        self._socket = monitor.listen(directory)
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._socket, self._socket.accept()[0] as client:
            client.sendall(self.greeting)
            while True:
                text, files, _, _ = socket.recv_fds(client, 65536, 1)
                if not text:
                    return
                self.files += files
                message = json.loads(text)
                self.asked.append((message["execute"], message["arguments"]))
                answer = self.answers.get(message["execute"])
                if answer is None:
                    return
                client.sendall(b'{"event": "NIC_RX_FILTER_CHANGED", "data": {}}\r\n')
                client.sendall(json.dumps(answer if "error" in answer else {"return": answer}).encode() + b"\r\n")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    # Longer than a socket's path may be.
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    opened = os.open(deep, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_answers_are_found_among_events(directory: int) -> None:
    qemu = Qemu(directory)
    qemu.answers["query-status"] = {"status": "running", "running": True}
    with monitor.talk(directory) as talking:
        assert talking.status() == "running"
    assert qemu.asked == [("qmp_capabilities", {}), ("query-status", {})]


def test_what_qemu_refuses_has_its_reason(directory: int) -> None:
    Qemu(directory).answers["query-status"] = {"error": {"class": "GenericError", "desc": "not today"}}
    with pytest.raises(GuestFailure, match="query-status: not today"), monitor.talk(directory) as talking:
        talking.status()


def test_the_devices_are_those_that_it_was_given(directory: int) -> None:
    Qemu(directory).answers["qom-list"] = [
        {"name": "type", "type": "string"},
        {"name": "mp01234567890", "type": "child<virtio-net-pci>"},
    ]
    with monitor.talk(directory) as talking:
        assert talking.devices() == {"mp01234567890"}


def test_the_taps_are_read_out_of_a_text_for_people(directory: int) -> None:
    # QEMU 7.2
    Qemu(directory).answers["human-monitor-command"] = (
        "mp01234567890: index=0,type=nic,model=virtio-net-pci,macaddr=02:00:00:00:00:01\r\n"
        " \\ tap-mp01234567890: index=0,type=tap,fd=4\r\n"
        "tap-mpabcdef01234: index=0,type=tap,fd=25\r\n"
        "user.0: index=0,type=user,net=10.0.2.0,restrict=off\r\n"
    )
    with monitor.talk(directory) as talking:
        assert talking.taps() == {"mp01234567890": 4, "mpabcdef01234": 25}


def test_a_nic_is_plugged_in_with_its_open_file(directory: int, tmp_path: Path) -> None:
    qemu = Qemu(directory)
    qemu.answers |= {"getfd": {}, "netdev_add": {}, "device_add": {}}
    with (tmp_path / "tap").open("w") as tap, monitor.talk(directory) as talking:
        talking.plug("mp1", {"driver": "virtio-net-pci", "host_mtu": 1400}, tap.fileno())
    assert qemu.asked[1:] == [
        ("getfd", {"fdname": "mp1"}),
        ("netdev_add", {"type": "tap", "id": "tap-mp1", "fd": "mp1"}),
        ("device_add", {"driver": "virtio-net-pci", "host_mtu": 1400}),
    ]
    (received,) = qemu.files
    assert os.path.samestat(os.fstat(received), (tmp_path / "tap").stat())
    os.close(received)


def test_a_qemu_that_ends_is_told_from_one_that_is_silent(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Qemu(directory)
    with pytest.raises(GuestFailure, match="has ended"), monitor.talk(directory) as talking:
        talking.status()  # there is no answer for it
    monkeypatch.setattr(monitor, "_SECONDS", 0.2)
    silent = Qemu(directory)
    silent.greeting = b""
    with pytest.raises(GuestFailure, match="did not answer"), monitor.talk(directory):
        pass


def test_nobody_there(directory: int) -> None:
    with pytest.raises(GuestFailure, match="can't be reached"), monitor.talk(directory):
        pass
    monitor.listen(directory).close()
    with pytest.raises(GuestFailure, match="can't be reached"), monitor.talk(directory):
        pass
