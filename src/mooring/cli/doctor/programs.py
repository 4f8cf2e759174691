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
    ("ip", "-V", True, "Nothing of the network can be tried or looked at: install iproute2."),
    ("nft", "--version", False, "Rulesets can't be looked at by hand, nor tried below: install nftables."),
    ("dnsmasq", "--version", True, "Guests get no address by DHCP: install dnsmasq-base."),
    (
        "dhcp_release",
        None,
        False,
        "A deleted guest's DHCP lease stays in dnsmasq's file until it expires: install dnsmasq-utils.",
    ),
    ("conntrack", "--version", True, "Connections of an address that moved go on to its old guest: install conntrack."),
    ("busybox", "--help", False, "Guests of the demos have no DHCP client and no web server: install busybox-static."),
    ("ping", "-V", False, "Demos can't show that a guest answers: install iputils-ping."),
    ("unshare", "--version", False, "Nothing below can be tried, nor demos and tests run: install util-linux."),
    (
        "qemu-system-x86_64",
        "--version",
        False,
        "Guests are network namespaces only, not machines: install qemu-system-x86.",
    ),
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


def _version(program: str, flag: str | None) -> Callable[[], str]:
    def attempt() -> str:
        if flag is None:
            return trial.find(program)  # it has no such word
        said = trial.run([program, flag])
        number = _NUMBER.search(said)
        return number[0] if number else said.partition("\n")[0]

    return attempt
