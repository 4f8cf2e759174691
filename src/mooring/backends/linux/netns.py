"""Network namespaces: named as iproute2 names them, and threads that live in them.

A namespace is known by its name's inode: whoever deletes a namespace by hand and makes another of that name gets another inode, and all
that was opened in the old one is closed.

How does a restarted agent know that a namespace is ours?  By its name, mooring-r- and a router's id, in /run/netns.
"""

import ctypes
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NETNS = Path("/run/netns")

# linux/sched.h, linux/mount.h, sys/mount.h, linux/prctl.h
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 4096, 16384, 1 << 20
_MNT_DETACH = 2
_PR_SET_NAME = 15
_SIOCGSKNS = 0x894C  # linux/sockios.h: the namespace of a socket

_libc = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    """Say whether there is a namespace of this name; a file that a crash left without one is none."""
    return inode(name) is not None


def inode(name: str) -> int | None:
    """Return what identifies the namespace of this name, None if there is none."""
    try:
        found = (NETNS / name).stat()
    except FileNotFoundError:
        return None
    return found.st_ino if found.st_dev == _own().st_dev else None


def is_stale(name: str) -> bool:
    """Say whether a crash, or a stranger, left a name without a namespace."""
    return (NETNS / name).exists() and not exists(name)


def names(prefix: str) -> Iterator[str]:
    """Return the names with this prefix in /run/netns, sorted; a name may be left of a crash, with no namespace to it."""
    try:
        yield from sorted(name for name in (path.name for path in NETNS.iterdir()) if name.startswith(prefix))
    except FileNotFoundError:
        return


def prepare() -> None:
    """Make /run/netns as `ip netns add` does: a shared mount, so that names made in one mount namespace show, and go, in all."""
    NETNS.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = bytes(NETNS)
    if _libc.mount(b"", path, b"none", _MS_SHARED | _MS_REC, None):
        if ctypes.get_errno() != errno.EINVAL:  # EINVAL: not a mount point yet
            return  # then names made here stay in this mount namespace, which is all that a container may want
        _check(_libc.mount(path, path, b"none", _MS_BIND | _MS_REC, None), str(NETNS))
        _check(_libc.mount(b"", path, b"none", _MS_SHARED | _MS_REC, None), str(NETNS))


def create(name: str) -> None:
    """Make a named network namespace, with everything in it down.

    Raises:
        OSError: FileExistsError if there is one; PermissionError without the right to.
    """
    prepare()
    path = NETNS / name
    if not exists(name):
        path.unlink(missing_ok=True)
    path.touch(0o444, exist_ok=False)

    def bind() -> None:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        _check(_libc.mount(b"/proc/thread-self/ns/net", bytes(path), b"none", _MS_BIND, None), str(path))

    try:
        # The thread ends in its new namespace: without rights over the old one, in a user namespace, it couldn't go back.
        _in_thread(bind)
    except OSError:
        path.unlink()
        raise


def remove(name: str) -> None:
    """Take a namespace's name away; the kernel ends it when nobody is left in it."""
    path = NETNS / name
    if _libc.umount2(bytes(path), _MNT_DETACH) and ctypes.get_errno() not in {errno.EINVAL, errno.ENOENT}:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    path.unlink(missing_ok=True)


def in_scratch(work: Callable[[], T]) -> T:
    """Run `work` in a nameless network namespace that is made for it and ends with it."""

    def run() -> T:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        return work()

    return _in_thread(run)


class Inside:
    """A thread that lives in a network namespace and runs what it is given, one thing after another.

    Only such a thread opens sockets for a namespace: a socket belongs for ever to the namespace of the thread that makes it, and both
    libnftables and pyroute2 make new ones whenever they like.  `name` is the namespace; None is the process's own.
    """

    def __init__(self, name: str | None, comm: str) -> None:
        """Start the thread; `comm` is its name to the kernel, of at most 15 bytes.

        Raises:
            OSError: there is no such namespace, or no right to enter it.
        """
        self.name = name
        self.fd = os.open(NETNS / name if name else "/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self.fd).st_ino
        self.comm = comm
        self._ident = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"in-{name or 'host'}")
        try:
            self.run(self._enter)
        except OSError:
            self.close()
            raise

    def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the namespace and return what it returns or raises.

        Raises:
            OSError: this was closed.
        """
        if threading.get_ident() == self._ident:
            return work()  # it would wait for itself
        try:
            done = self._thread.submit(work)
        except RuntimeError as error:
            raise OSError(errno.ESHUTDOWN, f"namespace {self.name or 'of the host'} is closed") from error
        return done.result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _enter(self) -> None:
        self._ident = threading.get_ident()
        _libc.prctl(_PR_SET_NAME, self.comm.encode(), 0, 0, 0)
        if self.name:
            _check(_libc.setns(self.fd, _CLONE_NEWNET), f"namespace {self.name}")


def check_namespace(fd: int, inode: int) -> None:
    """Make sure that a socket lives where it should: what is written to the wrong namespace can't be taken back.

    Raises:
        OSError: it doesn't.
    """
    namespace = fcntl.ioctl(fd, _SIOCGSKNS)
    try:
        if os.fstat(namespace).st_ino != inode:
            raise OSError("a netlink socket was made in the wrong network namespace")
    finally:
        os.close(namespace)


def _own() -> os.stat_result:
    return Path("/proc/self/ns/net").stat()


def _in_thread(work: Callable[[], T]) -> T:
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result()


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
