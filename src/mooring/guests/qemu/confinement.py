"""What a VM's process may do if its guest breaks out of it: as little as we can have it.

It is a user of its own without capabilities, in a network namespace with nothing in it, and can't write files beyond a size.  What it
works with it got as open files.
"""

import os
import stat
from pathlib import Path

from mooring.guests.qemu.command import Accelerator
from mooring.model.ids import InstanceId

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONSOLE_LIMIT = 1 << 20
"""The kernel stops a VM's process from writing more than this to its console's file."""

_KVM = Path("/dev/kvm")
# https://systemd.io/UIDS-GIDS: nobody gives out users from here to the end of 31 bits.
_FIRST_USER = 0x70000000


def user_of(guest: InstanceId) -> int:
    """Return the user that a guest's VM is: its own, so that one can't reach into another."""
    return _FIRST_USER + int(guest.replace("-", "")[:7], 16)


def confined(guest: InstanceId, accelerator: Accelerator) -> list[str]:
    """Return the programs that confine the one after them, and then become it."""
    user = user_of(guest)
    become = [f"--reuid={user}", f"--regid={user}", *_groups(accelerator)] if _can_become(user) else []
    drop = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    return [
        *("unshare", "--net", "--"),
        *("prlimit", f"--fsize={CONSOLE_LIMIT}", "--core=0", "--"),
        *("setpriv", *become, *drop, "--"),
    ]


def _groups(accelerator: Accelerator) -> list[str]:
    if accelerator is Accelerator.KVM:
        found = _KVM.stat()
        if found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IWGRP:
            return [f"--groups={found.st_gid}"]
    return ["--clear-groups"]


def _can_become(user: int) -> bool:
    """Say whether we may be another user: in a sandbox of an ordinary user there is none but root."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, count = (int(word) for word in line.split())
        if first <= user < first + count:
            return True
    return False
