"""What a check is, and what it finds."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


class Lacking(Exception):
    """The thing is not there or does not work; the message says what was seen."""


class Limited(Exception):
    """The thing works only so far; the message says how far, `cost` what that costs."""

    def __init__(self, found: str, cost: str) -> None:
        """Keep what was seen and what it costs."""
        super().__init__(found)
        self.cost = cost


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to try: `attempt` returns what was seen, or raises.  The main job can't run without what is `needed`."""

    group: str
    name: str
    cost: str
    attempt: Callable[[], str]
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `cost` is empty where nothing is lacking."""

    group: str
    name: str
    verdict: Verdict
    needed: bool
    found: str
    cost: str


def carry_out(check: Check) -> Finding:
    """Try one thing; whatever goes wrong in the trial is a finding."""

    def finding(verdict: Verdict, found: str, cost: str) -> Finding:
        return Finding(check.group, check.name, verdict, check.needed, found, cost)

    try:
        return finding(Verdict.OK, check.attempt(), "")
    except Limited as limited:
        return finding(Verdict.LIMITED, str(limited), limited.cost)
    except Lacking as lacking:
        return finding(Verdict.MISSING, str(lacking), check.cost)
    except subprocess.TimeoutExpired as late:
        return finding(Verdict.MISSING, f"no end after {late.timeout:.0f} seconds", check.cost)
    except OSError as error:
        return finding(Verdict.MISSING, error.strerror or str(error), check.cost)
