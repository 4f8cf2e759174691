"""What a guest of the netns driver can be: a few small services of busybox."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mooring.model.nouns import Image

_SCRIPTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class NetnsImage:
    """An image, the services of init.sh that it starts, and the scripts that run in it.  Their shell is the host's busybox."""

    image: Image
    services: tuple[str, ...]
    scripts: tuple[str, ...] = ("launch.sh", "init.sh", "dhcp.sh")


# The ids are made up once and stay: clients keep them.
_TABLE = (
    NetnsImage(
        Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a01", "web", 0),
        ("http", "echo"),
        ("launch.sh", "init.sh", "dhcp.sh", "web.sh"),
    ),
    NetnsImage(Image("6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a02", "bare", 0), ()),
)


def measured(image: Image, parts: Iterable[Path]) -> Image:
    """Return an image with the size and the hashes of the files that it is made of, one after the other.

    Raises:
        OSError: one can't be read.
    """
    size, md5, sha512 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha512()
    for part in parts:
        content = part.read_bytes()
        size += len(content)
        md5.update(content)
        sha512.update(content)
    return replace(image, size=size, md5=md5.hexdigest(), sha512=sha512.hexdigest())


IMAGES: tuple[Image, ...] = tuple(
    measured(entry.image, [_SCRIPTS / name for name in entry.scripts]) for entry in _TABLE
)
"""`web` answers HTTP on port 80 with who it is and who asks, and echoes TCP on port 7; `bare` has nothing but its addresses."""


def services_of(image: str) -> tuple[str, ...] | None:
    """Return the services of an image by its id or name; None if there is no such image."""
    for entry in _TABLE:
        if image in (entry.image.id, entry.image.name):
            return entry.services
    return None
