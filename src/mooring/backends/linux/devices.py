"""Devices by name, and refusals that name the fact that the kernel would not have."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from mooring.backends.linux.rtnl import Link, Rtnl
from mooring.compile.facts import Key, Refused, Row, fact_line


def there(rtnl: Rtnl, name: str) -> Link:
    """Return a device.

    Raises:
        OSError: there is none of this name.
    """
    link = rtnl.link(name)
    if link is None:
        raise OSError(errno.ENODEV, f"no device {name}")
    return link


def bridge_of(rtnl: Rtnl, name: str) -> Link:
    """Return a bridge.

    Raises:
        OSError: there is none of this name.
    """
    link = rtnl.link(name)
    if link is None or link.kind != "bridge":
        raise OSError(errno.ENODEV, f"no bridge {name}")
    return link


def remove(rtnl: Rtnl, name: str) -> None:
    """Remove a device, if it is there."""
    if (link := rtnl.link(name)) is None:
        return
    try:
        rtnl.delete(link.index)
    except OSError as error:
        # The kernel takes the pairs of a namespace that went at a moment of its own.
        if error.errno != errno.ENODEV:
            raise


@contextmanager
def named(key: Key, value: Row, but: int = 0) -> Generator[None]:
    """Turn what the kernel refuses into a `Refused` that names the fact; `but` is an error number that means that it holds already."""
    try:
        yield
    except OSError as error:
        if not but or error.errno != but:
            raise Refused(f"{fact_line(key, value)}: {error.strerror or error}") from error


def mistyped(key: Key, value: Row) -> Refused:
    """Return the refusal of a fact that no compiler makes."""
    return Refused(f"{fact_line(key, value)}: not of the types and names of {key.table.name}")
