"""Taps: devices whose other end is a process, as a VM's.  Made here, opened by a guest driver, and there whether it is open or not.

Netlink can't make them, only /dev/net/tun can, and a process that has that open makes devices in the namespace where it opened it.
"""

import errno
import fcntl
import os
import struct

from mooring.backends.linux.netns import Inside

_DEVICE = "/dev/net/tun"
# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


def add(inside: Inside, name: str) -> None:
    """Make a tap that stays, down and without carrier.

    Raises:
        OSError: the machine has no taps, we have no right to make one, or the name is taken.
    """

    def make() -> None:
        try:
            device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise OSError(error.errno, f"{_DEVICE} can't be opened: {_why(error)}") from error
        try:
            fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
            fcntl.ioctl(device, _TUNSETPERSIST, 1)
        finally:
            os.close(device)

    inside.run(make)


def _why(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "this machine has no tap devices (kernel module tun)"
        case errno.EACCES | errno.EPERM:
            return "only the machine's root may make tap devices here"
        case _:
            return os.strerror(error.errno or 0)
