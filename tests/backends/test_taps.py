"""Ports of a host whose guests are VMs: taps, which are there and silent until a VM's process has them open."""

import fcntl
import json
import os
import struct
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from mooring.backends.linux.backend import LinuxBackend
from mooring.backends.linux.netns import Inside
from mooring.compile.facts import Delta, HostState, diff
from mooring.compile.tables import PORT
from mooring.model.ids import port_name
from mooring.model.traits import PortKind
from tests.backends import histories
from tests.backends.histories import check
from tests.backends.lab import Lab, eventually
from tests.compile.small import ALICE, BOB, small
from tests.compile.walled import walled

pytestmark = pytest.mark.kernel

DEVICE = port_name(ALICE)
STATE = small().state


@pytest.fixture
def backend(lab: Lab) -> Generator[LinuxBackend]:
    made = LinuxBackend(lab.run, lab.host, PortKind.TAP)
    yield made
    made.close()


def settle(backend: LinuxBackend, state: HostState) -> Delta:
    delta = histories.settle(backend, state)
    check(backend, state)
    return delta


def link(lab: Lab, name: str = DEVICE) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = json.loads(lab.at(lab.host, "ip", "-json", "-details", "link", "show"))
    return next((each for each in found if each["ifname"] == name), None)


def has_carrier(lab: Lab) -> bool:
    found = link(lab)
    assert found is not None
    return "LOWER_UP" in found["flags"]


@contextmanager
def opened(lab: Lab, name: str = DEVICE, *, persist: bool = True) -> Generator[int]:
    """Have a tap open, as a VM's process has."""
    inside = Inside(lab.host, "tap")
    device = inside.run(lambda: os.open("/dev/net/tun", os.O_RDWR))
    try:
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
        if not persist:
            fcntl.ioctl(device, 0x400454CB, 0)
        yield device
    finally:
        os.close(device)
        inside.close()


def test_a_port_is_a_tap_that_waits_without_carrier(lab: Lab, backend: LinuxBackend) -> None:
    settle(backend, STATE)
    found = link(lab)
    assert found is not None
    assert (found["linkinfo"]["info_kind"], found["linkinfo"]["info_data"]["persist"]) == ("tun", True)
    assert found["master"].startswith("mb")
    assert "UP" in found["flags"]
    assert not has_carrier(lab)
    assert not settle(backend, STATE)


def test_a_tap_has_carrier_while_somebody_has_it_open(lab: Lab, backend: LinuxBackend) -> None:
    settle(backend, STATE)
    with opened(lab):
        eventually(lambda: has_carrier(lab))
        assert not settle(backend, STATE)
    eventually(lambda: not has_carrier(lab))


def test_a_tap_goes_though_it_is_open(lab: Lab, backend: LinuxBackend) -> None:
    settle(backend, STATE)
    with opened(lab):
        settle(backend, {key: value for key, value in STATE.items() if key.table != PORT})
        assert link(lab) is None
        settle(backend, STATE)


@pytest.mark.parametrize(
    "command", [f"link set {DEVICE} nomaster", f"link set {DEVICE} down", f"link set {DEVICE} mtu 900"]
)
def test_a_tap_changed_by_hand_is_repaired_in_place(lab: Lab, backend: LinuxBackend, command: str) -> None:
    settle(backend, STATE)
    before = link(lab)
    lab.ip(lab.host, command)
    assert settle(backend, STATE)
    after = link(lab)
    assert before is not None
    assert after is not None
    assert before["ifindex"] == after["ifindex"]


def test_a_tap_that_would_go_with_its_process_is_made_anew(lab: Lab, backend: LinuxBackend) -> None:
    settle(backend, STATE)
    with opened(lab, persist=False):
        assert settle(backend, STATE)
        assert link(lab) is not None


def test_ports_of_the_other_kind_are_replaced(lab: Lab, backend: LinuxBackend) -> None:
    pairs = lab.another_backend()
    for each, kind in ((pairs, "veth"), (backend, "tun"), (pairs, "veth")):
        each.apply(diff(each.read(), STATE))
        for nic in (ALICE, BOB):
            found = link(lab, port_name(nic))
            assert found is not None
            assert found["linkinfo"]["info_kind"] == kind
        assert each.read() == STATE


def test_a_filtered_tap_is_filtered_whether_it_is_open_or_not(lab: Lab, backend: LinuxBackend) -> None:
    state = walled().state
    settle(backend, STATE)
    settle(backend, state)
    for _ in range(2):
        with opened(lab):
            eventually(lambda: has_carrier(lab))
            assert not settle(backend, state)
        eventually(lambda: not has_carrier(lab))
        assert not settle(backend, state)
    lab.ip(lab.host, f"link set {DEVICE} nomaster")
    assert settle(backend, state)
    settle(backend, STATE)
