"""What a guest of the qemu driver can be: the one small system, with different services."""

from dataclasses import replace
from pathlib import Path

from mooring.guests import image as guest_system
from mooring.guests import netns
from mooring.guests.netns import images as namespace_images
from mooring.model.nouns import Image

_ABOUT = 17 << 20  # bytes of the system, as long as it is not built
_TINY = Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a11", "tiny-vm", _ABOUT)

IMAGES: tuple[Image, ...] = (*netns.IMAGES, _TINY)
"""Those of namespace guests, so that these run on any host, and `tiny-vm`, which is `web` and only ever a VM."""


def images_of(directory: Path) -> tuple[Image, ...]:
    """Return the images with the size and hashes of the system that was built in a directory, which they all boot as VMs.

    Where none was, there are no hashes, and the size is a guess.

    Raises:
        OSError: it can't be read.
    """
    system = guest_system.built(directory)
    one = _TINY if system is None else namespace_images.measured(_TINY, (system.kernel, system.initrd))
    return tuple(replace(image, size=one.size, md5=one.md5, sha512=one.sha512) for image in IMAGES)


def services_of(image: str) -> tuple[str, ...] | None:
    """Return the services of an image by its id or name; None if there is no such image."""
    if image in (_TINY.id, _TINY.name):
        return ("http", "echo")
    return namespace_images.services_of(image)
