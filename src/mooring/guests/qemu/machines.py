"""The QEMU process of each guest: found by what the kernel says, started, killed.

How does a restarted agent know that a QEMU is ours?  Its program is QEMU, and its arguments name the guest and the driver's directory.
There is no pid file.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mooring.guests.qemu.command import boots_of, guest_of, run_dir_of
from mooring.guests.qemu.confinement import PATH
from mooring.model.ids import InstanceId
from mooring.model.subjects import GuestFailure

_FAMILY = "qemu-system-"
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """A living QEMU of a guest, the directory of the driver that started it, and for which number of boots."""

    pid: int
    guest: InstanceId
    run_dir: Path
    boots: int = 0


def read_machine(pid: int) -> Machine | None:
    """Return the guest that this process runs as a VM of ours; None if it is anything else, or dead."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        if _FAMILY.encode() not in line.split(b"\0", 1)[0]:
            return None  # nearly all processes: the rest costs more
        # A script may have any arguments, but not this program.
        if not Path(f"/proc/{pid}/exe").readlink().name.startswith(_FAMILY):
            return None
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    arguments = [os.fsdecode(word) for word in line.split(b"\0")]
    guest, run_dir = guest_of(arguments), run_dir_of(arguments)
    if guest is None or run_dir is None or "\nState:\tZ" in status or "\nState:\tX" in status:
        return None
    return Machine(pid, guest, run_dir, boots_of(arguments))


def all_machines() -> Iterator[Machine]:
    """Return all VMs of drivers like ours on this machine."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (machine := read_machine(int(path.name))) is not None:
            yield machine


def find(guest: InstanceId) -> Machine | None:
    """Return a guest's VM."""
    return next((machine for machine in all_machines() if machine.guest == guest), None)


def spawn(argv: Sequence[str], files: Sequence[int], log: Path) -> None:
    """Start a program as nobody's child, with these open files and what it complains of in `log`; whether it runs is not known yet.

    QEMU could do this itself (-daemonize), but not once it has given up the right to start processes.

    Raises:
        GuestFailure: a program that this takes is not installed.
    """
    try:
        with log.open("wb") as complaints:
            subprocess.run(
                ["setsid", "--fork", *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=files,
                env={"PATH": PATH},
                cwd="/",
                # Python ignores SIGXFSZ: QEMU shall as well, and go on without its console when that is full.
                restore_signals=False,
                check=False,
            )
    except FileNotFoundError as error:
        raise GuestFailure(f"the program {error.filename} is not installed (Debian package util-linux).") from error


def complaint(log: Path) -> str:
    """Return what a program that ended complained of."""
    try:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        said = []
    return said[-1].removeprefix("qemu-system-x86_64: ").rstrip(".") if said else "it did not say why"


def kill(machine: Machine) -> None:
    """Kill a VM and return when it is gone.

    Raises:
        GuestFailure: it is not gone after ten seconds, which only a process stuck in the kernel can do.
    """
    try:
        handle = os.pidfd_open(machine.pid)
    except ProcessLookupError:
        return
    try:
        # Looked at after it was opened, so if that is the VM, the handle is the VM's: numbers are used again.
        if read_machine(machine.pid) != machine:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            raise GuestFailure(f"guest {machine.guest} does not die: process {machine.pid} is stuck.")
    finally:
        os.close(handle)
