"""What the logs of all processes say of one launch: every step, with the host and the process that did it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from mooring.lab.plan import CONTROL
from mooring.model.ids import HostId

_Line = dict[str, Any]

# What the facts of some tables are to a reader, in the order in which they are told.
_WORDS = {
    "bridge": "bridge",
    "vxlan": "tunnel",
    "vlan": "VLAN",
    "trunk": "trunk port",
    "namespace": "router",
    "uplink": "uplink",
    "dhcp_server": "DHCP server",
    "dhcp_host": "DHCP entry",
    "port": "port of the guest",
    "fdb": "forwarding entry",
}


class What(StrEnum):
    """The steps of a launch."""

    RECORDED = "recorded"
    SCHEDULED = "scheduled"
    NETWORKS = "networks"
    ADDRESSES = "addresses"
    HELD = "held"
    GUEST = "guest"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when it began (or, of what hosts hold, was done), who did it where, and what came of it."""

    what: What
    at: datetime
    host: str
    process: str
    text: str
    tables: frozenset[str] = frozenset()
    injected: str = ""
    gateways: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Chronicle:
    """The steps of a launch, in their order."""

    steps: Sequence[Step]

    def first(self, what: What) -> Step | None:
        """Return the first step of a kind."""
        return next((step for step in self.steps if step.what is what), None)

    def held(self, host: str, table: str) -> Step | None:
        """Return the step by which a host came to hold a fact of a table."""
        return next((step for step in self.steps if step.host == host and table in step.tables), None)

    @property
    def over(self) -> bool:
        """Whether the launch has come to its end."""
        return self.first(What.ACTIVE) is not None

    def __str__(self) -> str:
        """Write it as a table."""
        began = self.steps[0].at
        lines = [
            f"+{(step.at - began).total_seconds():.3f} s  {step.host:<8} {step.process:<10} {step.text}"
            for step in self.steps
        ]
        return "\n".join(lines)


def read(logs: Path, instance: str, names: Mapping[HostId, str]) -> Chronicle:
    """Read the logs of a laboratory for one launch; `names` are the names of hosts by their ids."""
    lines = [(host, line) for log in sorted(logs.glob("*.log")) for host, line in _lines(log)]
    # What says for which instance it was done, and what was done for the same API request.
    requests = {str(line["request_id"]) for _, line in lines if _of(line, "launch", instance)}
    moments = [_moment(line) for _, line in lines if line.get("instance") == instance]
    steps: list[Step] = []
    for host, line in lines:
        known = set(str(line.get("request_id", "")).split()) & requests or line.get("instance") == instance
        # What a comparison with the controller finds at that moment is for no request.
        chance = "request_id" not in line and moments and min(moments) <= _moment(line) <= max(moments)
        if known or (line["event"] == "change applied" and chance):
            steps += _step(host, line, names)
    return Chronicle(sorted(steps, key=lambda step: step.at))


def _of(line: _Line, event: str, instance: str) -> bool:
    return line["event"] == event and line.get("instance") == instance and "request_id" in line


def _lines(log: Path) -> Iterator[tuple[str, _Line]]:
    name = log.stem
    host = name.partition(".")[2] or CONTROL
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines():
        # Databases write other logs, and the last line may not be whole.
        if text.startswith("{") and text.endswith("}"):
            line: _Line = json.loads(text)
            yield host, line


def _moment(line: _Line) -> datetime:
    return datetime.fromisoformat(str(line["timestamp"]))


def _step(host: str, line: _Line, names: Mapping[HostId, str]) -> Iterator[Step]:
    # A call is logged when it is over, and told where it begins.
    at = _moment(line) - timedelta(milliseconds=float(line.get("milliseconds", 0)))
    process = str(line.get("process", ""))
    asks = f"{_name(line.get('host'), names)} asks for"
    match line["event"]:
        case "request":
            text = f"{line['method']} {line['path']}: recorded, answered with {line['status']}"
            yield Step(What.RECORDED, at, host, process, text)
        case "launch":
            text = f"scheduled: {_name(line['host'], names)} is to run it"
            yield Step(What.SCHEDULED, at, host, process, text)
        case "networks set up":
            told = [_network(each, names) for each in line["networks"]]
            gateways = {each["network"]: _name(each["gateway"], names) for each in line["networks"] if each["gateway"]}
            text = f"{asks} the network: {'; '.join(told)}"
            yield Step(What.NETWORKS, at, host, process, text, gateways=gateways)
        case "fixed IPs taken":
            text = f"{asks} the fixed IP, and takes {', '.join(line['addresses'])}"
            yield Step(What.ADDRESSES, at, host, process, text)
        case "change applied" if line["put"]:
            yield _held(at, host, process, line)
        case "guest runs":
            injected = ", ".join(line["injected"])
            text = "the guest runs, " + (f"with {injected} injected" if injected else "and asks for its address")
            yield Step(What.GUEST, at, host, process, text, injected=injected)
        case "instance is active":
            yield Step(What.ACTIVE, at, host, process, f"{_name(line['host'], names)} reports: it is active")
        case _:
            return


def _name(host: object, names: Mapping[HostId, str]) -> str:
    return names.get(HostId(str(host)), "an unknown host")


def _network(each: Mapping[str, Any], names: Mapping[HostId, str]) -> str:
    if each["gateway"] is None:
        return f"{each['network']} has the operator's router"
    verb = "is claimed for" if each["chosen"] else "is on"
    return f"the router of {each['network']} {verb} gateway {_name(each['gateway'], names)}"


def _held(at: datetime, host: str, process: str, line: _Line) -> Step:
    tables: Mapping[str, int] = line["tables"]
    told = ", ".join(word for table, word in _WORDS.items() if table in tables)
    facts = f"{line['put']} fact{'s'[: line['put'] != 1]}"
    return Step(
        What.HELD, at, host, process, f"holds {told} ({facts})" if told else f"holds {facts}", frozenset(tables)
    )
