"""Which accelerator a machine has: KVM only where it is proved, because /dev/kvm may be there, and open, and run nothing."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import structlog

from mooring.guests.image import GuestSystem
from mooring.guests.qemu.command import Accelerator, processor
from mooring.guests.qemu.confinement import PATH, confined
from mooring.model.ids import InstanceId

_SECONDS = 6
_NOBODY_S = InstanceId("00000000-0000-0000-0000-000000000000")
_KVM = Path("/dev/kvm")
_log = structlog.get_logger(__name__)


def usable(system: GuestSystem, cache: Path) -> Accelerator:
    """Return KVM if a guest under it said something within seconds, else TCG; the verdict holds for this boot and this QEMU."""
    if not _KVM.exists():
        return Accelerator.TCG
    verdict = cache / f"accelerator-{_what_decides(system)}"
    try:
        return Accelerator(verdict.read_text(encoding="ascii"))
    except (OSError, ValueError):
        found = Accelerator.KVM if prove(system) else Accelerator.TCG
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache, encoding="ascii", delete=False) as file:
        file.write(found)
    Path(file.name).replace(verdict)
    return found


def prove(system: GuestSystem) -> bool:
    """Start a guest under KVM, as confined as all are, and say whether it comes as far as its first program."""
    kernel, initrd = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (system.kernel, system.initrd))
    argv = [
        *confined(_NOBODY_S, Accelerator.KVM),
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "128"),
        *("-machine", "pc", *processor(Accelerator.KVM)),
        *("-kernel", f"/dev/fd/{kernel}", "-initrd", f"/dev/fd/{initrd}"),
        *("-append", "console=ttyS0 quiet panic=-1 guest.proof", "-serial", "stdio"),
    ]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(kernel, initrd),
            env={"PATH": PATH},
            timeout=_SECONDS,
            check=False,
        )
        said, reason = done.stdout, done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    except subprocess.TimeoutExpired as late:
        said, reason = late.stdout or b"", [f"a guest did not come up within {_SECONDS} s"]
    except OSError as error:
        said, reason = b"", [str(error)]
    finally:
        os.close(kernel)
        os.close(initrd)
    proved = b"READY" in said
    if not proved:
        _log.warning("KVM does not work here; guests are emulated, which is slow", reason="; ".join(reason))
    return proved


def _what_decides(system: GuestSystem) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    program = shutil.which("qemu-system-x86_64", path=PATH)
    qemu = Path(program).stat() if program else None
    facts = (boot, qemu and (qemu.st_mtime_ns, qemu.st_size), system.kernel.parent.name, _KVM.stat().st_mode)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
