"""Runs a command in private mount and process namespaces: whatever it makes vanishes with it, even after kill -9.

Inside, /run is an empty file system of its own, so named network namespaces are the command's alone, and an ordinary user is root
over all that is made there.  The network stays the caller's: a server inside answers on the caller's 127.0.0.1.  Nothing but root's
own privilege or a user namespace is needed.

Three processes: the caller, which waits and passes signals on; the first process of the new process namespace, which does the same
and reaps orphans; the command.  When the first dies, so does all that runs in its namespace, by the kernel's own rule; and it dies
with the caller.
"""

import ctypes
import errno
import os
import select
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

MARK = "MOORING_SANDBOX"

_USAGE = "usage: python -m mooring.sandbox -- COMMAND [ARGUMENT...]\n"

# linux/sched.h, linux/mount.h, linux/prctl.h, asm-generic/siginfo.h
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SHARED = 2, 4, 8, 4096, 16384, 1 << 18, 1 << 20
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_SI_KERNEL = 0x80

_PASSED_ON = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
_WAITED_FOR = {*_PASSED_ON, signal.SIGCHLD}

# What may keep an ordinary user from making user namespaces: file, the value that does, the setting that helps.
_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
)


class SandboxRefused(Exception):
    """The kernel does not let us make a sandbox; the message is one sentence that says what to do about it."""


def inside() -> bool:
    """Say whether this process runs in a sandbox."""
    return os.environ.get(MARK) == "1"


def run(argv: Sequence[str]) -> NoReturn:
    """Run a command in a new sandbox and exit as it does.

    The calling process itself moves into the new mount (and user) namespace for good, so this is the last thing it does; it must
    have no second thread.  Ctrl-C and the signals HUP, INT, QUIT, TERM, USR1 and USR2 reach the command, which may take its time.

    Raises:
        SystemExit: always in the end, with the command's exit code; 128 + N if signal N killed it, 126 or 127 if it can't be run.
        SandboxRefused: nothing was run.
    """
    if not argv:
        raise SandboxRefused("there is no command to run in the sandbox.")
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - names are enough
        raise SandboxRefused("a process with more than one thread can't go into a sandbox.")
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would reap children behind our back
        _enter_namespaces()
        _own_run()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        raise
    in_foreground = _in_foreground()
    alive, stay_alive = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(stay_alive)
        _as_first(list(argv), alive, old_mask, in_foreground=in_foreground)
    os.close(alive)
    sys.exit(_wait(first, group_shared=in_foreground))


def _enter_namespaces() -> None:
    """Move this process into a new mount namespace, and its future children into a new process namespace.

    What is tried decides, not who we are: root of a container may lack the right, an ordinary user may have it.
    """
    wanted = _CLONE_NEWNS | _CLONE_NEWPID
    user, group = os.geteuid(), os.getegid()
    try:
        try:
            _unshare(wanted)
        except PermissionError:
            _unshare(wanted | _CLONE_NEWUSER)
            Path("/proc/self/setgroups").write_text(
                "deny", encoding="ascii"
            )  # else an ordinary user may not map a group
            Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE)  # systemd shares mounts: ours would show outside
    except OSError as error:
        raise SandboxRefused(_why_not(error)) from error


def _why_not(error: OSError) -> str:
    if error.errno == errno.EINVAL:
        return "this kernel has no user or process namespaces, without which there is no sandbox."
    for path, value, setting in _SWITCHES:
        try:
            refused = Path(path).read_text(encoding="ascii").strip() == value
        except OSError:
            continue  # a kernel without this switch
        if refused:
            return f"this machine does not let ordinary users make namespaces: run as root, or `sysctl -w {setting}` as root first."
    return f"this machine does not let us make namespaces ({error.strerror}): run as root; in a container, start it with --privileged."


def _own_run() -> None:
    """Put an empty /run in place, with /run/netns as `ip netns` prepares it.

    The directory is a shared mount: namespaces named in a mount namespace below ours (`ip netns exec` makes one) show everywhere.
    """
    names = Path("/run/netns")
    # Our copies of the mounts that name the machine's namespaces would keep those alive as long as we live.  A user namespace may not
    # take them away (they came all together from one with more rights), and nothing but that delay follows from it.
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(" ")
        if fields[fields.index("-") + 1] == "nsfs":
            _libc.umount2(os.fsencode(fields[4]), _MNT_DETACH)
    try:
        _mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755")
        names.mkdir(mode=0o755)
        _mount(str(names), str(names), None, _MS_BIND | _MS_REC)
        _mount("none", str(names), None, _MS_REC | _MS_SHARED)
    except OSError as error:
        raise SandboxRefused(f"a private /run can't be mounted: {error.strerror} ({error.filename}).") from error


def _as_first(argv: list[str], alive: int, old_mask: Iterable[int], *, in_foreground: bool) -> NoReturn:
    """Be the first process of the new process namespace: run the command and reap until it ends."""
    code = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)  # the caller died before that line, so no signal will come
        os.close(alive)
        if not in_foreground:
            # A signal to the caller's group reaches the command once, by way of the caller, and not by two ways.
            os.setpgid(0, 0)
        _mount("none", "/proc", None, _MS_REC | _MS_PRIVATE)
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        command = os.fork()
        if command == 0:
            _as_command(argv, old_mask)
        code = _wait(command, group_shared=in_foreground)
    except OSError as error:
        sys.stderr.write(f"sandbox: /proc can't be mounted: {error.strerror}; does a container hide parts of it?\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _as_command(argv: list[str], old_mask: Iterable[int]) -> NoReturn:
    try:
        os.environ[MARK] = "1"
        here = os.environ.get("PATH", os.defpath).split(os.pathsep)
        # An ordinary user's PATH lacks where ip, nft and dnsmasq are, and here that user is root.
        os.environ["PATH"] = os.pathsep.join([*here, *(place for place in ("/usr/sbin", "/sbin") if place not in here)])
        for changed_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(changed_by_python, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        # Not execvp: it says "permission denied" of a program that isn't there, if one directory of PATH can't be read.
        program = argv[0] if "/" in argv[0] else shutil.which(argv[0])
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.execv(program, argv)  # noqa: S606 - an argument list, no shell
    except OSError as error:
        sys.stderr.write(f"sandbox: {argv[0]} can't be run: {error.strerror}.\n")
        sys.stderr.flush()
        os._exit(127 if error.errno == errno.ENOENT else 126)
    finally:
        os._exit(126)


def _wait(child: int, *, group_shared: bool) -> int:
    """Pass signals on to `child` and reap all children until it ends; return the exit code that a shell would give.

    What the terminal sends (Ctrl-C) goes to its whole foreground group: if we share the child's group, it had that already, and a
    second one would interrupt its clean-up.
    """
    while True:
        got = signal.sigwaitinfo(_WAITED_FOR)
        if got.si_signo != signal.SIGCHLD:
            if not (group_shared and got.si_code == _SI_KERNEL):
                os.kill(child, got.si_signo)
            continue
        while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
            if reaped[0] == child:
                code = os.waitstatus_to_exitcode(reaped[1])
                return code if code >= 0 else 128 - code


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # no terminal at all
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


# Python 3.11 has none of these three; 3.12 has os.unshare only.
_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def main() -> NoReturn:
    """Run what follows `--` on the command line."""
    match sys.argv[1:]:
        case ["--", *command] if command:
            try:
                run(command)
            except SandboxRefused as refused:
                sys.exit(f"sandbox: {refused}")
        case _:
            sys.stderr.write(_USAGE)
            sys.exit(2)


if __name__ == "__main__":
    main()
