"""What tests of VMs share: the guests' system, built once into build/, and a driver that emulates them, on every machine alike."""

from pathlib import Path

import pytest

from mooring.guests import image
from mooring.guests.qemu import Accelerator, QemuGuests

IMAGES = Path(__file__).parents[3] / "build" / "guest-image"


def guests(host: str, run_dir: Path) -> QemuGuests:
    """A driver as an agent that starts would build it."""
    return QemuGuests(host, run_dir, IMAGES, Accelerator.TCG)


def built() -> image.GuestSystem:
    """The guests' system; the first time it is fetched and built."""
    try:
        return image.build(IMAGES)
    except image.BuildFailure as failure:
        pytest.fail(f"the VMs' system can't be built: {failure}")
