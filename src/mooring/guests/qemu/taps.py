"""A VM's side of a tap: opening it, knowing which one an open file belongs to, and attaching the file to one that was made anew.

How does a restarted agent know which tap a VM has?  By what /proc says of each open file of /dev/net/tun: the name of its device, or
none where that was deleted.
"""

import ctypes
import errno
import fcntl
import os
import re
import struct
from pathlib import Path

from mooring.guests.netns.namespaces import opened_in
from mooring.model.ids import NicId, port_name
from mooring.model.subjects import GuestFailure

_DEVICE = "/dev/net/tun"
# linux/if_tun.h
_TUNSETIFF, _TUNGETIFF, _TUNSETVNETHDRSZ = 0x400454CA, 0x800454D2, 0x400454D8
_IFF_TAP, _IFF_NO_PI, _IFF_PERSIST, _IFF_VNET_HDR = 0x0002, 0x1000, 0x0800, 0x4000
_IFREQ = "16sH22x"
# linux/virtio_net.h: struct virtio_net_hdr_v1, which every modern virtio device has before its frames.
_HEADER = 12
_PIDFD_GETFD = 438  # asm-generic/unistd.h

_libc = ctypes.CDLL(None, use_errno=True)


def open_port(host: str | None, nic: NicId) -> int:
    """Open a NIC's port, which gives it carrier; return the file, which is the caller's to close.

    `host` names the namespace where the port is; None is the process's own.

    Raises:
        GuestFailure: there is no such port, somebody has it open, or we may not open it.
    """

    def opening() -> int:
        return os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    try:
        device = opened_in(host, opening) if host else opening()
    except OSError as error:
        reason = (
            "only the machine's root may open it here"
            if isinstance(error, PermissionError)
            else error.strerror or error
        )
        raise GuestFailure(f"the port of NIC {nic} can't be opened by way of {_DEVICE}: {reason}.") from error
    try:
        _attach(device, nic)
    except BaseException:
        os.close(device)
        raise
    return device


def attached_to(pid: int, descriptor: int) -> str:
    """Return the name of the device that a process's file is attached to, an empty text if to none (any more)."""
    try:
        said = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text(encoding="ascii")
    except OSError:
        return ""
    found = re.search(r"^iff:\t(\S+)$", said, re.MULTILINE)
    return found[1] if found else ""


def attach_again(host: str | None, nic: NicId, pid: int, descriptor: int) -> None:
    """Attach a process's file, whose device is gone, to the port that was made in its place; neither process nor guest notice.

    Raises:
        GuestFailure: there is no such port, or the process's file can't be had.
    """
    # The file would make a device where there is none, so one of ours looks first.
    os.close(open_port(host, nic))
    try:
        file = _file_of(pid, descriptor)
    except OSError as error:
        raise GuestFailure(
            f"the port of NIC {nic} was made anew and process {pid} can't be given it: {error}."
        ) from error
    try:
        _attach(file, nic)
        # The old device knew this; offloads, which it also knew, are off until the guest's driver starts anew.
        fcntl.ioctl(file, _TUNSETVNETHDRSZ, struct.pack("i", _HEADER))
    finally:
        os.close(file)


def _file_of(pid: int, descriptor: int) -> int:
    """Return a number of ours for a file that another process has open: Python 3.11 has no pidfd_getfd (Linux 5.6)."""
    handle = os.pidfd_open(pid)
    try:
        file: int = _libc.syscall(_PIDFD_GETFD, handle, descriptor, 0)
    finally:
        os.close(handle)
    if file < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return file


def _attach(device: int, nic: NicId) -> None:
    name = port_name(nic)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack(_IFREQ, name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
        _, flags = struct.unpack(_IFREQ, fcntl.ioctl(device, _TUNGETIFF, struct.pack(_IFREQ, b"", 0)))
    except OSError as error:
        reasons = {
            errno.EBUSY: "another process has it open",
            errno.EINVAL: "a device of its name is no tap",
            errno.EPERM: "we have no right to",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise GuestFailure(f"the port of NIC {nic}, {name}, can't be opened: {reason}.") from error
    if not flags & _IFF_PERSIST:  # made by this very call, and gone again with the file
        raise GuestFailure(f"the port of NIC {nic} is not in place: there is no device {name}.")
