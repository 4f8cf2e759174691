"""Settings below /proc/sys/net of a namespace: the calling thread's namespace decides which file is meant.

How does a restarted agent know that a setting is ours?  Every setting of a router's namespace is.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from mooring.backends.linux.netns import Inside

_ROOT = Path("/proc/sys/net")
_PATH = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)+")


def read(inside: Inside, paths: Iterable[str]) -> dict[str, str]:
    """Return the values of the settings that exist; a kernel without bridge filtering filters no bridge."""

    def look() -> dict[str, str]:
        found: dict[str, str] = {}
        for path in paths:
            try:
                found[path] = (_ROOT / path).read_text(encoding="ascii").strip()
            except FileNotFoundError:
                if _means_off(path):
                    found[path] = "0"
        return found

    return inside.run(look)


def is_there(inside: Inside, path: str) -> bool:
    """Say whether there is such a setting."""
    return inside.run((_ROOT / path).exists)


def write(inside: Inside, path: str, value: str) -> None:
    """Change a setting.

    Raises:
        OSError: there is no such setting, or it doesn't take the value.
    """
    if not _PATH.fullmatch(path):
        raise OSError(f"{path!r} is no path of a setting")

    def change() -> None:
        try:
            (_ROOT / path).write_text(value, encoding="ascii")
        except OSError as error:
            if not (isinstance(error, FileNotFoundError) and _means_off(path) and value == "0"):
                raise OSError(error.errno, f"sysctl {path} = {value}: {error.strerror}") from error

    inside.run(change)


def silence(inside: Inside, device: str) -> None:
    """Take IPv6 from a device that only carries frames: no address, no router or neighbour solicitations of its own."""
    for setting, value in (("disable_ipv6", "1"), ("addr_gen_mode", "1")):
        try:
            write(inside, f"ipv6/conf/{device}/{setting}", value)
        except FileNotFoundError:  # a kernel without IPv6
            return


def _means_off(path: str) -> bool:
    return path.startswith("bridge/")
