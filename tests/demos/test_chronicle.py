"""A launch, put together from the logs of several processes."""

import json
from pathlib import Path
from typing import Any

from mooring.demos.chronicle import What, read
from mooring.model.ids import HostId

NAMES = {HostId("id-1"): "host-1", HostId("id-2"): "host-2"}


def line(second: float, process: str, event: str, **more: object) -> dict[str, Any]:
    return {"timestamp": f"2026-01-01T00:00:{second:09.6f}Z", "process": process, "event": event, **more}


def write(logs: Path, name: str, *lines: dict[str, Any] | str) -> None:
    text = "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines)
    (logs / f"{name}.log").write_text(text)


def launch(logs: Path) -> None:
    """Write what three processes and a database say of a launch, and of something else."""
    mine: dict[str, Any] = {"request_id": "req-1"}
    told = [{"network": "net", "gateway": "id-1", "chosen": True}]
    write(
        *(logs, "api"),
        line(1.1, "api", "request", method="POST", path="/v1/instances", status=202, milliseconds=100.0, **mine),
        line(1.2, "api", "request", method="GET", path="/v1/hosts", status=200, milliseconds=1.0, request_id="req-2"),
    )
    write(
        *(logs, "controller"),
        line(1.05, "controller", "launch", instance="i-1", host="id-2", **mine),
        line(
            2, "controller", "networks set up", instance="i-1", host="id-2", networks=told, milliseconds=900.0, **mine
        ),
        line(
            3,
            "controller",
            "fixed IPs taken",
            instance="i-1",
            host="id-2",
            addresses=["10.0.0.2"],
            milliseconds=900.0,
            **mine,
        ),
        line(5, "controller", "instance is active", instance="i-1", host="id-2"),
    )
    write(
        *(logs, "agent.host-1"),
        line(
            1.5,
            "agent",
            "change applied",
            put=3,
            tables={"bridge": 1, "namespace": 1, "sysctl": 1},
            request_id="req-0 req-1",
        ),
        line(2.5, "agent", "change applied", put=1, tables={"dhcp_host": 1}),
        line(2.6, "agent", "change applied", put=7, tables={"owned": 7}, request_id="req-9"),
        line(9, "agent", "change applied", put=1, tables={"dhcp_host": 1}),
    )
    write(*(logs, "agent.host-2"), line(4, "agent", "guest runs", instance="i-1", injected=["10.0.0.2/24"], **mine))
    write(*(logs, "postgresql"), "2026-01-01 LOG:  database system is ready", '{"half a line": ')


def test_every_step_is_told_with_its_host_and_process_where_it_began(tmp_path: Path) -> None:
    launch(tmp_path)
    chronicle = read(tmp_path, "i-1", NAMES)
    assert str(chronicle).splitlines() == [
        "+0.000 s  control  api        POST /v1/instances: recorded, answered with 202",
        "+0.050 s  control  controller scheduled: host-2 is to run it",
        "+0.100 s  control  controller host-2 asks for the network: the router of net is claimed for gateway host-1",
        "+0.500 s  host-1   agent      holds bridge, router (3 facts)",
        "+1.100 s  control  controller host-2 asks for the fixed IP, and takes 10.0.0.2",
        "+1.500 s  host-1   agent      holds DHCP entry (1 fact)",
        "+3.000 s  host-2   agent      the guest runs, with 10.0.0.2/24 injected",
        "+4.000 s  control  controller host-2 reports: it is active",
    ]
    assert chronicle.over


def test_it_can_be_asked_for_steps(tmp_path: Path) -> None:
    launch(tmp_path)
    chronicle = read(tmp_path, "i-1", NAMES)
    networks, guest = chronicle.first(What.NETWORKS), chronicle.first(What.GUEST)
    assert networks is not None
    assert networks.gateways == {"net": "host-1"}
    assert guest is not None
    assert guest.injected == "10.0.0.2/24"
    entry = chronicle.held("host-1", "dhcp_host")
    assert entry is not None
    assert entry.at < guest.at
    assert chronicle.held("host-2", "dhcp_host") is None


def test_a_launch_that_nobody_speaks_of_has_no_steps(tmp_path: Path) -> None:
    launch(tmp_path)
    chronicle = read(tmp_path, "i-2", NAMES)
    assert not chronicle.steps
    assert not chronicle.over
