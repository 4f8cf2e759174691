"""Removing a device that the kernel takes away at the same moment, which no real kernel does when it is asked to."""

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from mooring.backends.linux.devices import remove


def deleting(failure: int) -> Any:
    """Return links of which one is there when it is looked for, and fails to go."""

    def delete(_: int) -> None:
        raise OSError(failure, "refused")

    return SimpleNamespace(link=lambda _: SimpleNamespace(index=7), delete=delete)


def test_a_device_that_went_meanwhile_is_removed() -> None:
    remove(deleting(errno.ENODEV), "mha0000001000")


def test_a_device_that_does_not_go_is_told() -> None:
    with pytest.raises(OSError, match="refused"):
        remove(deleting(errno.EBUSY), "mha0000001000")
