"""What QEMU is told: the whole line, because each word of it is a right or a device."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mooring.guests.qemu.command import (
    Accelerator,
    Files,
    Identity,
    boots_of,
    command,
    guest_of,
    nic_arguments,
    run_dir_of,
)
from mooring.guests.qemu.confinement import user_of
from mooring.model.ids import InstanceId
from tests.guests.qemu.test_drive import ASKS, FLAT, GUEST
from tests.strategies import uuid

FILES = Files(kernel=3, initrd=4, drive=5, console=6, monitor=7)
RUN = Path("/run/mooring,1/guests")


def line(accelerator: Accelerator = Accelerator.TCG) -> list[str]:
    return command(Identity(GUEST.id, RUN, 3), accelerator, FILES, ("http", "echo")) + nic_arguments({FLAT: 8, ASKS: 9})


def test_the_command_line(golden: Callable[[str, str], None]) -> None:
    golden("command.txt", "".join(f"{word}\n" for word in line()))


def test_kvm_differs_in_the_processor_only() -> None:
    different = set(line(Accelerator.KVM)) ^ set(line())
    assert different == {"kvm", "-cpu", "host", "tcg,tb-size=64"}


def test_a_line_says_whose_it_is() -> None:
    assert (guest_of(line()), run_dir_of(line()), boots_of(line())) == (GUEST.id, RUN, 3)
    others = ["qemu-system-x86_64", "-uuid", GUEST.id, "-add-fd", "fd=3,set=1,opaque=other"]
    assert run_dir_of(others) is None
    assert boots_of(others) == 0
    assert guest_of(["qemu-system-x86_64", "-uuid"]) is None


def test_every_guest_is_another_user_that_nobody_else_is() -> None:
    first, second = user_of(GUEST.id), user_of(replace(GUEST, id=InstanceId(uuid("f", 1))).id)
    assert first != second
    assert all(0x70000000 <= user < 0x80000000 for user in (first, second))
