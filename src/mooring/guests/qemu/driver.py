"""The qemu driver: runs each guest as a VM, a QEMU process of its own."""

import fcntl
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from mooring.guests import image
from mooring.guests.image import GuestSystem
from mooring.guests.locks import work_on
from mooring.guests.qemu import machines, monitor, taps
from mooring.guests.qemu.accelerators import usable
from mooring.guests.qemu.command import Accelerator, Files, Identity, command, nic_arguments, nic_device
from mooring.guests.qemu.confinement import CONSOLE_LIMIT, confined
from mooring.guests.qemu.drive import config_drive
from mooring.guests.qemu.images import IMAGES, services_of
from mooring.model.ids import InstanceId, port_name
from mooring.model.subjects import GuestFailure, GuestNic, InstanceIntent
from mooring.model.traits import PortKind

CONSOLE = "console.log"
"""What a guest said on its serial console, in its directory; the older half is in console.log.1."""

_LIFE = "life"
"""An empty file with a lock on it that a VM's process has from before it is one until it ends."""

_COMING_SECONDS = 30


class QemuGuests:
    """The guests of one host.

    Guests live on when their agent ends; another one with the same `run_dir` finds them again.  All that counts is what the kernel
    says: `run_dir` holds each guest's console, its config drive, the socket of its monitor, and its lock.
    """

    ports: ClassVar[PortKind] = PortKind.TAP

    def __init__(self, host: str | None, run_dir: Path, images: Path, accelerator: Accelerator | None = None) -> None:
        """Run guests whose ports are in the namespace named `host`, or in this process's own; keep their files in `run_dir`.

        `run_dir` tells the guests of one agent from those of another on the same machine.  `images` is where the guests' system was
        built (mooring.guests.image).  Without an `accelerator` KVM is taken where it is proved to work.
        """
        self._host = host
        self._run_dir = Path(os.path.realpath(run_dir))
        self._images = images
        self._accelerator = accelerator

    def start(self, guest: InstanceIntent) -> None:
        """Run a guest whose ports are in place.

        Raises:
            GuestFailure: the image is unknown or not built, a port is not in place, another agent runs the guest, or QEMU refuses.
        """
        services = services_of(guest.image)
        if services is None:
            known = ", ".join(each.name for each in IMAGES)
            raise GuestFailure(f"there is no image {guest.image} for VM guests, only {known}.")
        with work_on(self._run_dir, guest.id) as lock:
            machine = self._find(guest.id)
            if machine is not None and machine.boots != guest.boots:
                machines.kill(machine)
                machine = None
            if machine is None:
                self._launch(guest, services, lock)
            else:
                self._plug(guest, machine, lock)

    def stop(self, guest: InstanceId) -> None:
        """Kill a guest, whose ports stay and have no carrier, and remove its files; nothing happens if there is none.

        Raises:
            GuestFailure: another agent runs the guest, or it does not die.
        """
        with work_on(self._run_dir, guest):
            machine = self._find(guest)
            if machine is not None:
                machines.kill(machine)
            shutil.rmtree(self._run_dir / guest)

    def list(self) -> tuple[InstanceId, ...]:
        """Return the guests that run, whoever started them as an agent with our `run_dir`, sorted."""
        found = sorted({machine.guest for machine in machines.all_machines() if machine.run_dir == self._run_dir})
        for guest in found:
            _trim(self._run_dir / guest / CONSOLE)
        return tuple(found)

    def _find(self, guest: InstanceId) -> machines.Machine | None:
        """Return a guest's VM, waiting for one that a dead agent has begun to start."""
        deadline = time.monotonic() + _COMING_SECONDS
        while True:
            machine = machines.find(guest)
            if machine is not None and machine.run_dir != self._run_dir:
                raise GuestFailure(f"guest {guest} is run by another agent, the one of {machine.run_dir}.")
            if machine is not None or not _is_coming(self._run_dir / guest / _LIFE):
                return machine
            if time.monotonic() > deadline:
                raise GuestFailure(f"guest {guest} has been starting for {_COMING_SECONDS} s and does not come up.")
            time.sleep(0.01)

    def _launch(self, guest: InstanceIntent, services: Sequence[str], lock: int) -> None:
        system = self._system()
        accelerator = self._accelerator or usable(system, self._run_dir)
        directory = self._run_dir / guest.id
        drive, log = directory / "config.iso", directory / "qemu.log"
        drive.write_bytes(config_drive(guest))
        with ExitStack() as stack:

            def opened(path: Path, flags: int) -> int:
                file = os.open(path, flags | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, file)
                return file

            nics: dict[GuestNic, int] = {}
            for nic in guest.nics:
                nics[nic] = taps.open_port(self._host, nic.id)
                stack.callback(os.close, nics[nic])
            life = opened(directory / _LIFE, os.O_RDWR | os.O_CREAT)
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files = Files(
                kernel=opened(system.kernel, os.O_RDONLY),
                initrd=opened(system.initrd, os.O_RDONLY),
                drive=opened(drive, os.O_RDONLY),
                console=opened(directory / CONSOLE, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
                monitor=stack.enter_context(monitor.listen(lock)).fileno(),
            )
            argv = [
                *confined(guest.id, accelerator),
                *command(Identity(guest.id, self._run_dir, guest.boots), accelerator, files, services),
                *nic_arguments(nics),
            ]
            machines.spawn(argv, [life, *nics.values(), *files.all], log)
        # Our copies are closed: if QEMU ends now, so does whoever waits for its greeting.
        try:
            with monitor.talk(lock) as qemu:
                qemu.status()
        except GuestFailure as failure:
            if (machine := self._find(guest.id)) is not None:
                machines.kill(machine)
                raise
            raise GuestFailure(f"guest {guest.id} did not start: {machines.complaint(log)}.") from failure

    def _plug(self, guest: InstanceIntent, machine: machines.Machine, directory: int) -> None:
        """Make a running guest's NICs what they should be, as far as they are not."""
        wanted = {port_name(nic.id): nic for nic in guest.nics}
        with monitor.talk(directory) as qemu:
            devices, known = qemu.devices(), qemu.taps()
            for name in (devices | known.keys()) - wanted.keys():
                if name.startswith("mp"):
                    qemu.unplug(name)
            for name, nic in wanted.items():
                if name not in devices or name not in known:
                    self._plug_anew(qemu, nic)
                elif taps.attached_to(machine.pid, known[name]) != name:
                    taps.attach_again(self._host, nic.id, machine.pid, known[name])

    def _plug_anew(self, qemu: monitor.Monitor, nic: GuestNic) -> None:
        qemu.unplug(port_name(nic.id))  # half of an earlier try
        tap = taps.open_port(self._host, nic.id)
        try:
            qemu.plug(port_name(nic.id), nic_device(nic), tap)
        finally:
            os.close(tap)

    def _system(self) -> GuestSystem:
        try:
            found = image.find(self._images)
        except image.BuildFailure as failure:
            raise GuestFailure(f"the VMs' system can't be built: {failure}") from failure
        if found is None:
            raise GuestFailure(
                f"the VMs' system is not in {self._images}: build it with `python -m mooring.guests.image {self._images}`."
            )
        return found


def _is_coming(life: Path) -> bool:
    """Say whether some process still has the lock that VMs have."""
    try:
        file = os.open(life, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(file)


def _trim(console: Path) -> None:
    """Move a console's text aside when half of what it may hold is used; its writer goes on at the beginning."""
    try:
        if console.stat().st_size * 2 > CONSOLE_LIMIT:
            shutil.copyfile(console, console.with_suffix(".log.1"))
            os.truncate(console, 0)
    except FileNotFoundError:
        return  # it is being stopped
