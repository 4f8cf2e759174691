"""What a guest of the qemu driver can be: the one small system, with different services."""

from mooring.guests import netns
from mooring.guests.netns import images as namespace_images
from mooring.model.nouns import Image

_TINY = Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a11", "tiny-vm", 17 << 20)

IMAGES: tuple[Image, ...] = (*netns.IMAGES, _TINY)
"""Those of namespace guests, so that these run on any host, and `tiny-vm`, which is `web` and only ever a VM."""


def services_of(image: str) -> tuple[str, ...] | None:
    """Return the services of an image by its id or name; None if there is no such image."""
    if image in (_TINY.id, _TINY.name):
        return ("http", "echo")
    return namespace_images.services_of(image)
