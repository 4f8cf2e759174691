"""A VM with a Debian kernel and this machine's files, to run what this machine's kernel can't: VLANs, bridges that filter them.

The VM sees the machine's whole file system, read-only, through virtiofs, and writes to memory: so whatever runs here runs there, at the
same paths and without being installed, a fifth to a twentieth as fast where nothing but emulation works.  It has no network.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from mooring.guests import image
from mooring.guests.image import Kernel, cpio, modules
from mooring.guests.qemu.accelerators import usable
from mooring.guests.qemu.command import Accelerator, processor

HERE = Path(__file__).parent
IMAGES = HERE.parents[1] / "build" / "guest-image"
MARK = "MOORING_VM"

_MODULES = ("virtio_pci", "virtiofs", "overlay", "virtio_console", "virtio_rng")
_SERVERS = (
    "/usr/libexec/virtiofsd",
    "/usr/lib/qemu/virtiofsd",
)  # Debian 13's own package, Debian 12's qemu-system-common


class VmFailure(Exception):
    """The VM could not run a command to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command for the VM, and how much of this machine that may take: MiB, processors and seconds."""

    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    memory: int = 1024
    processors: int = 1
    timeout: float = 280


def run(job: Job) -> int:
    """Run a command in a VM of its own, copy what it prints to standard output as it comes, and return its exit code.

    Raises:
        VmFailure: the VM could not be started, died, or took too long.
    """
    server = next((path for path in _SERVERS if os.access(path, os.X_OK)), None)
    if server is None:
        raise VmFailure("virtiofsd is not installed (Debian 12: qemu-system-common, later: virtiofsd).")
    try:
        system, kernel = image.build(IMAGES), image.kernel(IMAGES)
    except image.BuildFailure as failure:
        raise VmFailure(f"the VM's system can't be built: {failure}") from failure
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory(prefix="vm-")))
        (place / "initrd").write_bytes(_initrd(kernel, job))
        # Which of the two it is shows in no name, and both take this form.
        files = subprocess.Popen(
            [server, f"--socket-path={place / 'fs'}", "-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"],
            stdin=subprocess.DEVNULL,
            stderr=stack.enter_context((place / "virtiofsd.log").open("wb")),
        )
        stack.callback(_end, files)
        _wait_for(place / "fs", files)
        ours, theirs = os.pipe()
        argv = _command(job, kernel, place, usable(system, IMAGES))
        argv += _output(theirs)
        reader = Thread(target=_copy, args=(ours,))
        try:
            with (place / "qemu.log").open("wb") as complaints:
                qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=complaints, pass_fds=[theirs])
        finally:
            os.close(theirs)
            reader.start()
            stack.callback(reader.join)
        stack.callback(_end, qemu)
        return _follow(qemu, job, place)


def _initrd(kernel: Kernel, job: Job) -> bytes:
    wanted = modules.in_order(kernel.tree, _MODULES)
    names = [path.rpartition("/")[2] for path in wanted]
    environment = {
        "PATH": f"/run/vm:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        MARK: "1",
        "MOORING_SANDBOX": "1",  # nothing in the VM is anybody's but the job's
        **job.environment,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines += [f"cd {shlex.quote(str(job.directory))} || exit 126", f"exec {shlex.join(job.command)}"]
    entries = [
        cpio.file("init", b"#!/bin/busybox sh\n" + (HERE / "init.sh").read_bytes(), executable=True),
        cpio.file("bin/busybox", image.busybox(IMAGES).read_bytes(), executable=True),
        cpio.link("bin/sh", "busybox"),
        cpio.file("vm/start", (HERE / "start.sh").read_bytes()),
        cpio.file("vm/job", "".join(f"{line}\n" for line in lines).encode()),
        cpio.file("vm/modules", "".join(f"{name}\n" for name in names).encode()),
        cpio.file("vm/tree", str(kernel.tree).encode()),
        *(cpio.file(f"vm/{name}", (kernel.tree / path).read_bytes()) for name, path in zip(names, wanted, strict=True)),
    ]
    return cpio.archive(entries)


def _command(job: Job, kernel: Kernel, place: Path, accelerator: Accelerator) -> list[str]:
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "pc,memory-backend=memory", *processor(accelerator)),
        *("-smp", str(job.processors), "-m", str(job.memory)),
        # virtiofsd reads and writes the VM's memory.
        *("-object", f"memory-backend-memfd,id=memory,size={job.memory}M,share=on"),
        *("-kernel", str(kernel.image), "-initrd", str(place / "initrd")),
        *("-append", "console=ttyS0 quiet panic=-1"),
        *("-serial", f"file:{place / 'console'}"),
        *("-chardev", f"socket,id=files,path={place / 'fs'}", "-device", "vhost-user-fs-pci,chardev=files,tag=root"),
        *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
        *("-chardev", f"file,id=code,path={place / 'code'}", "-device", "virtserialport,chardev=code,name=code"),
    ]


def _output(pipe: int) -> list[str]:
    """Return what makes a pipe one of the VM's ports.  (Standard output would take an end of standard input for its own.)"""
    return [
        *("-add-fd", f"fd={pipe},set=1", "-chardev", "file,id=output,path=/dev/fdset/1,append=on"),
        *("-device", "virtserialport,chardev=output,name=output"),
    ]


def _follow(qemu: subprocess.Popen[bytes], job: Job, place: Path) -> int:
    """Wait for a VM to end, and return the job's exit code."""
    try:
        qemu.wait(job.timeout)
    except subprocess.TimeoutExpired as error:
        raise VmFailure(f"the VM was still running after {job.timeout:.0f} s: {_last_words(place)}") from error
    try:
        return int((place / "code").read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise VmFailure(f"the VM ended without having run the command: {_last_words(place)}") from error


def _copy(pipe: int) -> None:
    """Copy what comes out of a pipe to standard output, which may be a terminal, a file, or what pytest puts in its place."""
    with os.fdopen(pipe, "r", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            sys.stdout.write(line)
            sys.stdout.flush()


def _last_words(place: Path) -> str:
    said = ""
    for name, lines in (("qemu.log", 5), ("virtiofsd.log", 5), ("console", 100)):
        path = place / name
        text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
        said += f"\n--- {name}\n" + "\n".join(text.splitlines()[-lines:])
    return said


def _wait_for(socket: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        if socket.exists():
            return
        try:
            server.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise VmFailure(f"virtiofsd did not start: {_last_words(socket.parent)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
