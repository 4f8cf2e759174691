"""Named network namespaces, as `ip netns` keeps them: a file in /run/netns with the namespace mounted on it."""

import ctypes
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from pyroute2 import netns  # pyright: ignore[reportMissingTypeStubs]  # it has none

T = TypeVar("T")

_HOME = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has neither os.unshare nor os.setns
_netns = cast("Any", netns)  # it has no types


def path_of(name: str) -> Path:
    """Return the file that names a namespace."""
    return _HOME / name


def identity(name: str) -> int | None:
    """Return the kernel's number of a namespace, the inode of its file; None if there is none, or a file that names nothing."""
    try:
        status = path_of(name).stat()
    except OSError:
        return None
    return status.st_ino if status.st_dev == Path("/proc/self/ns/net").stat().st_dev else None


def ensure(name: str) -> None:
    """Make a namespace if it is missing, also where a killed process left a file without one."""

    def make() -> None:
        _check(_libc.unshare(_CLONE_NEWNET), name)
        _netns.attach(name, "thread-self")

    if identity(name) is None:
        remove(name)
        _in_passing(make)


def name_again(name: str, pid: int) -> None:
    """Give a process's network namespace the name that somebody took away from it, or gave to another."""
    remove(name)
    _netns.attach(name, pid)


def remove(name: str) -> None:
    """Take a namespace's name away, however many are mounted there; it ends with its last process."""
    while True:
        try:
            _netns.remove(name)
        except FileNotFoundError:
            return
        except OSError as error:
            # One of several mounts on the file is gone, the file is still busy with the next.
            if error.errno != errno.EBUSY or identity(name) is None:
                raise


def netlink_socket(name: str) -> socket.socket:
    """Open a netlink socket in a namespace; it stays there, whoever uses it.

    Raises:
        OSError: there is no such namespace.
    """
    return opened_in(
        name,
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE),
    )


def opened_in(name: str, opening: Callable[[], T]) -> T:
    """Run `opening` in a namespace and return what it returns.

    Raises:
        OSError: there is no such namespace, or what `opening` raises.
    """

    def enter() -> T:
        with path_of(name).open("rb") as file:
            _check(_libc.setns(file.fileno(), _CLONE_NEWNET), name)
        return opening()

    return _in_passing(enter)


def _in_passing(work: Callable[[], T]) -> T:
    """Run `work` in a thread that ends with it, in whichever namespace: in a user namespace it could not go back.

    No fork, as pyroute2 would: the agent has threads, and a fork may copy a lock that one of them holds.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result()


def _check(result: int, name: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
