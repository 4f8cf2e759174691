"""The first process of each guest: found by what the kernel says, started, told that devices came, killed.

How does a restarted agent know that a guest is ours?  By a process that is number 1 of a process namespace just below the agent's own
and whose last two arguments are the guest's namespace name and the driver's directory.  The pid file only says where to look first.
"""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mooring.guests.netns.namespaces import path_of
from mooring.model.ids import InstanceId, guest_namespace
from mooring.model.subjects import GuestFailure

SCRIPTS = Path(__file__).parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

BOOTS = "GUEST_BOOTS"
"""In its environment a guest has the number of boots that it was started for."""

_PREFIX = os.fsencode(guest_namespace(InstanceId("")))
_START_SECONDS = 10
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Init:
    """A living first process of a guest, and the directory of the driver that started it."""

    pid: int
    guest: InstanceId
    run_dir: Path

    @property
    def network(self) -> int:
        """The kernel's number of its network namespace; 0 if it is dead."""
        try:
            return Path(f"/proc/{self.pid}/ns/net").stat().st_ino
        except OSError:
            return 0

    @property
    def boots(self) -> int:
        """The number of boots that it was started for; 0 if it is dead, or was started when nobody counted."""
        mark = f"{BOOTS}=".encode()
        try:
            words = Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return 0
        return next((int(word.removeprefix(mark)) for word in words if word.startswith(mark)), 0)


def read_init(pid: int) -> Init | None:
    """Return the guest whose first process has this number; None if it is anything else, or dead."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # A script's arguments, and the empty rest after the last zero.
        if len(arguments) < 3 or not arguments[-3].startswith(_PREFIX):
            return None
        status = _status(pid)
        own = _status(os.getpid())
    except OSError:
        return None
    numbers = status["NSpid"].split()
    # Below us by one: what runs in a guest may look like this too, but deeper.
    if status["State"].startswith(("Z", "X")) or numbers[-1] != "1" or len(numbers) != len(own["NSpid"].split()) + 1:
        return None
    guest = InstanceId(os.fsdecode(arguments[-3].removeprefix(_PREFIX)))
    return Init(pid, guest, Path(os.fsdecode(arguments[-2])))


def _status(pid: int) -> Mapping[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def all_inits() -> Iterator[Init]:
    """Return all guests that this process can see."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (init := read_init(int(entry.name))):
            yield init


def find(guest: InstanceId, run_dir: Path | None = None) -> Init | None:
    """Return a guest's first process, quickly if its driver's directory is known."""
    if run_dir is not None:
        with suppress(OSError, ValueError):
            hinted = read_init(int((run_dir / guest / "pid").read_text(encoding="ascii")))
            if hinted and hinted.guest == guest:
                return hinted
    return next((init for init in all_inits() if init.guest == guest), None)


def spawn(guest: InstanceId, run_dir: Path, lock: int, environment: Mapping[str, str]) -> None:
    """Start a guest's first process in its network namespace, with its lock held until it has; return when it looks after devices.

    It is nobody's child: it gets its own session, and its parent is gone when this returns.

    Raises:
        GuestFailure: it did not come up within 10 seconds; nothing of it runs.
    """
    busybox = shutil.which("busybox", path=PATH)
    if busybox is None:
        raise GuestFailure("busybox is not installed (Debian package busybox-static).")
    name = guest_namespace(guest)
    inside = ["unshare", "--mount", "--propagation", "slave", "--uts", "--ipc", "--pid", "--"]
    argv = [
        "nsenter",
        f"--net={path_of(name)}",
        "--",
        *inside,
        busybox,
        "sh",
        str(SCRIPTS / "launch.sh"),
        name,
        str(run_dir),
    ]
    own = {"PATH": PATH, "BUSYBOX": busybox, "GUEST_SCRIPTS": str(SCRIPTS), "GUEST_DIR": str(run_dir / guest)}
    log = run_dir / guest / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv,
            stdin=lock,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**environment, **own},
            cwd="/",
            start_new_session=True,
        ) as launcher,
    ):
        try:
            answer = launcher.communicate(timeout=_START_SECONDS)[0]
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            answer = b""
    if answer != b"up\n":
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise GuestFailure(f"guest {guest} did not come up: {said[-1] if said else 'it did not say why'}.")


def tell(init: Init) -> None:
    """Tell a guest that devices came; nothing happens if it just died."""
    handle = _open(init)
    if handle is not None:
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGUSR1)
        finally:
            os.close(handle)


def kill(init: Init) -> None:
    """Kill a guest's first process, and with it, by the kernel's rule, all its processes; return when they are gone.

    Raises:
        GuestFailure: they are not gone after 10 seconds, which only a process stuck in the kernel can do.
    """
    handle = _open(init)
    if handle is None:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            raise GuestFailure(f"guest {init.guest} does not die: process {init.pid} is stuck.")
    finally:
        os.close(handle)


def _open(init: Init) -> int | None:
    """Return a handle on exactly this process: numbers are used again, handles are not."""
    try:
        handle = os.pidfd_open(init.pid)
    except ProcessLookupError:
        return None
    # Looked at after it was opened, so if that is the guest, the handle is the guest's.
    if read_init(init.pid) != init:
        os.close(handle)
        return None
    return handle
