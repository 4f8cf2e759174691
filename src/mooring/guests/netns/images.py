"""What a guest of the netns driver can be: a few small services of busybox."""

from dataclasses import dataclass

from mooring.model.nouns import Image


@dataclass(frozen=True, slots=True)
class NetnsImage:
    """An image and the services of init.sh that it starts."""

    image: Image
    services: tuple[str, ...]


# The ids are made up once and stay: clients keep them.  Size in bytes, as of a busybox.
_TABLE = (
    NetnsImage(Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a01", "web", 1 << 20), ("http", "echo")),
    NetnsImage(Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a02", "bare", 1 << 20), ()),
)

IMAGES: tuple[Image, ...] = tuple(entry.image for entry in _TABLE)
"""`web` answers HTTP on port 80 with who it is and who asks, and echoes TCP on port 7; `bare` has nothing but its addresses."""


def services_of(image: str) -> tuple[str, ...] | None:
    """Return the services of an image by its id or name; None if there is no such image."""
    for entry in _TABLE:
        if image in (entry.image.id, entry.image.name):
            return entry.services
    return None
