"""Guests that are virtual machines: a QEMU process each, under KVM where that is proved to work, else emulated.

driver.py      start, stop, list
machines.py    QEMU processes                command.py  what they are told      confinement.py  what they may do
taps.py        plugging into ports           monitor.py  what running ones are asked
drive.py       the config drive, in the format of iso9660.py
accelerators.py  whether KVM works           images.py   what a guest can be
"""

from mooring.guests.qemu.command import Accelerator
from mooring.guests.qemu.driver import QemuGuests
from mooring.guests.qemu.images import IMAGES, images_of

__all__ = ["IMAGES", "Accelerator", "QemuGuests", "images_of"]
