"""The system that VM guests boot: a Debian kernel and a small initramfs, built from Debian packages without installing any of them.

    build.py      packages -> kernel and initramfs, once, in a directory
    packages.py   fetching and unpacking        modules.py  which kernel modules, in which order
    cpio.py       the initramfs' format         system/     what runs in the guest

`python -m mooring.guests.image DIRECTORY` builds; needs apt-get and dpkg-deb, but no root.
"""

from mooring.guests.image.build import BuildFailure, GuestSystem, Kernel, build, built, busybox, find, kernel

__all__ = ["BuildFailure", "GuestSystem", "Kernel", "build", "built", "busybox", "find", "kernel"]
