"""The command line of a VM: pure, so that what QEMU is allowed and given can be read in a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from mooring.model.ids import InstanceId, port_name
from mooring.model.subjects import GuestNic

MEMORY = 128
"""In MiB; the system needs some 90 to unpack itself."""

_MARK = "mooring="
_BOOTS = "boots="


class Accelerator(StrEnum):
    """What runs a guest's instructions: the processor, or QEMU by translating them."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, slots=True)
class Files:
    """The open files that a VM is given: numbers that are the same in QEMU."""

    kernel: int
    initrd: int
    drive: int
    console: int
    monitor: int

    @property
    def all(self) -> tuple[int, ...]:
        """Return them all."""
        return (self.kernel, self.initrd, self.drive, self.console, self.monitor)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a VM is known by: its guest, the directory of the driver that started it, and for which number of boots."""

    guest: InstanceId
    run_dir: Path
    boots: int = 0


def command(identity: Identity, accelerator: Accelerator, files: Files, services: Sequence[str]) -> list[str]:
    """Return QEMU's arguments for a guest without NICs.

    It is given open files and opens none of the machine's but its own libraries and firmware; it can start no program and gain no right.
    """
    words = ["console=ttyS0", "quiet", "panic=1", f"guest.services={','.join(services)}"]
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-name", f"guest=mooring-{identity.guest}", "-uuid", identity.guest),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", "pc", *processor(accelerator)),
        *("-m", str(MEMORY)),
        *("-kernel", f"/dev/fd/{files.kernel}", "-initrd", f"/dev/fd/{files.initrd}", "-append", " ".join(words)),
        *(
            "-chardev",
            f"socket,id=monitor,fd={files.monitor},server=on,wait=off",
            "-mon",
            "chardev=monitor,mode=control",
        ),
        *("-add-fd", f"fd={files.console},set=1,opaque={_escaped(f'{_MARK}{identity.run_dir}')}"),
        *("-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console"),
        *("-add-fd", f"fd={files.drive},set=2,opaque={_BOOTS}{identity.boots}"),
        *("-blockdev", "driver=file,node-name=config,filename=/dev/fdset/2,read-only=on,locking=off"),
        *("-device", "virtio-blk-pci,drive=config,id=config,disable-legacy=on"),
        *("-device", "virtio-rng-pci,id=chance,disable-legacy=on"),
    ]


def processor(accelerator: Accelerator) -> list[str]:
    """Return the arguments that say what runs a VM; its machine, `pc`, has slots for NICs that come later."""
    match accelerator:
        case Accelerator.KVM:
            return ["-accel", "kvm", "-cpu", "host"]
        case Accelerator.TCG:
            # Translated code is kept in half a gigabyte by default, which nothing of ours needs.
            return ["-accel", "tcg,tb-size=64"]


def nic_arguments(nics: Mapping[GuestNic, int]) -> list[str]:
    """Return QEMU's arguments for NICs behind open taps."""
    found: list[str] = []
    for nic, file in nics.items():
        name = port_name(nic.id)
        settings = ",".join(f"{key}={value}" for key, value in nic_device(nic).items())
        found += ["-netdev", f"tap,id=tap-{name},fd={file}", "-device", settings]
    return found


def nic_device(nic: GuestNic) -> dict[str, str | int]:
    """Return the device of a NIC, as QEMU's monitor takes it.

    Modern only: so the header before each frame is known, see taps.py.  `romfile` would boot from the network.
    """
    name = port_name(nic.id)
    return {
        "driver": "virtio-net-pci",
        "id": name,
        "netdev": f"tap-{name}",
        "mac": nic.mac,
        "host_mtu": nic.mtu,
        "disable-legacy": "on",
        "romfile": "",
    }


def run_dir_of(arguments: Sequence[str]) -> Path | None:
    """Return the directory of the driver that started a QEMU with these arguments; None if no driver of ours did."""
    said = _opaque(arguments, _MARK)
    return Path(said.replace(",,", ",")) if said is not None else None


def boots_of(arguments: Sequence[str]) -> int:
    """Return for which number of boots a QEMU with these arguments was started; 0 if that was when nobody counted."""
    said = _opaque(arguments, _BOOTS)
    return int(said) if said is not None else 0


def _opaque(arguments: Sequence[str], mark: str) -> str | None:
    """Return what follows a mark of ours in the arguments, where QEMU reads nothing."""
    for word, following in pairwise(arguments):
        if word == "-add-fd" and f",opaque={mark}" in following:
            return following.partition(f",opaque={mark}")[2]
    return None


def guest_of(arguments: Sequence[str]) -> InstanceId | None:
    """Return the guest that a QEMU with these arguments runs, whoever started it."""
    for word, following in pairwise(arguments):
        if word == "-uuid":
            return InstanceId(following)
    return None


def _escaped(text: str) -> str:
    return text.replace(",", ",,")
