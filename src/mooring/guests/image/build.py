"""From Debian packages to a kernel and an initramfs, once: what is built lies in a directory and is found there again."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from mooring.guests import netns
from mooring.guests.image import cpio, modules, packages
from mooring.guests.image.packages import BuildFailure

__all__ = ["MODULES", "BuildFailure", "GuestSystem", "Kernel", "build", "busybox", "find", "kernel"]

MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_rng", "isofs", "button", "evdev")
"""What a guest needs of its kernel: devices, the config drive, and the power button."""

_KERNEL = "linux-image-cloud-amd64"
_CONCRETE = r"linux-image-\d\S*-cloud-amd64"
_HERE = Path(__file__).parent
_SHARED = Path(netns.__file__).parent
_SYSTEM = ("init.sh", "network.sh", "json.awk")
_AS_IN_NAMESPACES = ("dhcp.sh", "web.sh")


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel: its version, its image, and its directory of modules with what depmod says of them."""

    release: str
    image: Path
    tree: Path


@dataclass(frozen=True, slots=True)
class GuestSystem:
    """What a VM boots."""

    kernel: Path
    initrd: Path

    @property
    def size(self) -> int:
        """Return how many bytes it takes on disk."""
        return self.kernel.stat().st_size + self.initrd.stat().st_size


def built(directory: Path) -> GuestSystem | None:
    """Return the guests' system of this version of mooring if it is there; builds nothing."""
    made = directory / f"guest-{_fingerprint()}"
    return GuestSystem(made / "vmlinuz", made / "initrd") if made.is_dir() else None


def find(directory: Path) -> GuestSystem | None:
    """Return the guests' system of this version of mooring if it was built there, or another version's was; fetches nothing.

    Raises:
        BuildFailure: what lies there is not as expected.
    """
    made = built(directory)
    if made is not None:
        return made
    if (directory / "kernel").is_dir() and (directory / "busybox").is_dir():
        return build(directory)
    return None


def build(directory: Path) -> GuestSystem:
    """Return the guests' system, built if it is not there; about 150 MB stay in `directory`.

    Raises:
        BuildFailure: a package can't be had, or is not as expected.
    """
    made = directory / f"guest-{_fingerprint()}"
    if made.is_dir():
        return GuestSystem(made / "vmlinuz", made / "initrd")
    try:
        with _alone(directory):
            if not made.is_dir():  # somebody else may have built it meanwhile
                base = kernel(directory)
                with _new(made) as unfinished:
                    _copy(base.image, unfinished / "vmlinuz")
                    (unfinished / "initrd").write_bytes(cpio.archive(_entries(base, busybox(directory))))
                packages.tidy(directory / "packages")
    except OSError as error:
        raise BuildFailure(f"the guests' system can't be written to {directory}: {error}.") from error
    return GuestSystem(made / "vmlinuz", made / "initrd")


def kernel(directory: Path) -> Kernel:
    """Return Debian's kernel for clouds, fetched and unpacked if it is not there.

    Raises:
        BuildFailure: the package can't be had, or is not as expected.
    """
    if platform.machine() != "x86_64":
        raise BuildFailure(f"guests' systems are built for x86_64 only; this machine is a {platform.machine()}.")
    target = directory / "kernel"
    if not target.is_dir():
        store = directory / "packages"
        package = packages.fetch(packages.concrete(_KERNEL, _CONCRETE, store), store)
        with _new(target) as unfinished:
            packages.unpack(
                package,
                unfinished,
                lambda path: path.parts[0] == "lib" or path.name.startswith(("vmlinuz-", "config-")),
            )
            _index(unfinished, busybox(directory))
    release = _release(target)
    return Kernel(release, target / "boot" / f"vmlinuz-{release}", target / "lib" / "modules" / release)


def busybox(directory: Path) -> Path:
    """Return a busybox that needs no libraries, fetched and unpacked if it is not there.

    Raises:
        BuildFailure: the package can't be had, or is not as expected.
    """
    target = directory / "busybox"
    if not target.is_dir():
        package = packages.fetch("busybox-static", directory / "packages")
        with _new(target) as unfinished:
            packages.unpack(package, unfinished, lambda path: path.name == "busybox" and path.parent.name == "bin")
    found = sorted(target.rglob("bin/busybox"))
    if not found:
        raise BuildFailure("the Debian package busybox-static has no bin/busybox.")
    return found[0]


def _entries(base: Kernel, shell: Path) -> list[cpio.Entry]:
    try:
        wanted = modules.in_order(base.tree, MODULES)
    except modules.NoSuchModule as missing:
        raise BuildFailure(f"Debian's kernel {base.release} has no module {missing}.") from missing
    names = [path.rpartition("/")[2] for path in wanted]
    entries = [
        cpio.file("bin/busybox", shell.read_bytes(), executable=True),
        cpio.link("bin/sh", "busybox"),
        cpio.file("lib/modules/order", "".join(f"{name}\n" for name in names).encode()),
        cpio.link("etc/resolv.conf", "/run/guest/resolv.conf"),
        *(cpio.directory(path) for path in ("dev", "proc", "sys", "run", "tmp")),
    ]
    entries += [
        cpio.file(f"lib/modules/{name}", (base.tree / path).read_bytes())
        for name, path in zip(names, wanted, strict=True)
    ]
    entries += [cpio.file(f"system/{name}", content) for name, content in _scripts().items()]
    entries.append(cpio.file("init", b"#!/bin/busybox sh\n" + _scripts()["init.sh"], executable=True))
    return entries


def _scripts() -> dict[str, bytes]:
    found = {name: (_HERE / "system" / name).read_bytes() for name in _SYSTEM}
    return {**found, **{name: (_SHARED / name).read_bytes() for name in _AS_IN_NAMESPACES}}


def _fingerprint() -> str:
    """Return what changes with all that decides how the system looks, but for Debian's packages."""
    parts = [*(path.read_bytes() for path in sorted(_HERE.glob("*.py"))), *_scripts().values()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def _release(target: Path) -> str:
    found = [path.name for path in (target / "lib" / "modules").iterdir()]
    if len(found) != 1:
        raise BuildFailure(f"the Debian package {_KERNEL} has not one kernel's modules, but {found}.")
    return found[0]


def _index(target: Path, shell: Path) -> None:
    """Write modules.dep, which the package leaves to be made when it is installed."""
    done = subprocess.run(
        [shell, "depmod", "-b", target, _release(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailure(f"busybox depmod failed: {done.stderr.strip()}.")


def _copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


@contextmanager
def _new(target: Path) -> Generator[Path]:
    """Yield a directory that gets its name when all is in it, so that what has the name is whole."""
    unfinished = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Let one process build at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
