"""The programs that mooring starts, by their own word about their version."""

import platform
import re
import sys
from collections.abc import Callable, Iterator

from mooring.cli.doctor import trial
from mooring.cli.doctor.check import Check, Lacking

_GROUP = "programs"
_OLDEST, _NEWEST = (3, 11), (3, 14)

# program | how it tells its version | is the main job impossible without it | what its lack costs
_PROGRAMS = (
    ("ip", "-V", False, "Nothing below can be tried, nor namespaces looked at by hand: install iproute2."),
    ("nft", "--version", False, "Rulesets can't be looked at by hand: install nftables."),
    ("conntrack", "--version", False, "Connections can't be looked at by hand: install conntrack."),
    ("dnsmasq", "--version", True, "Guests get no address by DHCP: install dnsmasq-base."),
    (
        "unshare",
        "--version",
        True,
        "Guests that are namespaces can't be started, and nothing below was tried: install util-linux.",
    ),
    ("nsenter", "--version", True, "DHCP servers can't be started in routers: install util-linux."),
    ("busybox", "--help", True, "Guests that are namespaces have no system to run: install busybox-static."),
    ("ping", "-V", False, "Demos, and the floating IP below, can't be tried: install iputils-ping."),
    ("qemu-system-x86_64", "--version", False, "Guests are namespaces only, not machines: install qemu-system-x86."),
)

_NUMBER = re.compile(r"\d+\.\d[\w.]*")


def checks() -> Iterator[Check]:
    """Return the checks of programs."""
    yield Check(_GROUP, "Python", f"mooring is tested with Python {_span()} only.", _python, needed=True)
    for program, flag, needed, cost in _PROGRAMS:
        yield Check(_GROUP, program, cost, _version(program, flag), needed=needed)


def _span() -> str:
    return " to ".join(".".join(map(str, version)) for version in (_OLDEST, _NEWEST))


def _python() -> str:
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        raise Lacking(f"this is Python {platform.python_version()}")
    return platform.python_version()


def _version(program: str, flag: str) -> Callable[[], str]:
    def attempt() -> str:
        said = trial.run([program, flag])
        number = _NUMBER.search(said)
        return number[0] if number else said.partition("\n")[0]

    return attempt
