"""nats-server as a private process, with the users and permissions that mooring writes for it."""

from pathlib import Path

from mooring.lab.machine import Machine
from mooring.lab.plan import NATS_PORT, Plan
from mooring.lab.program import Program
from mooring.main.busconfig import BusDirectory, Wish

_READY = "Server is ready"


def prepare(plan: Plan, directory: Path) -> BusDirectory:
    """Write who may come, a password for each, and the server's configuration."""
    users = BusDirectory(directory)
    users.write(Wish(hosts=[host.name for host in plan.machines]))
    config = (
        f'host: {plan.control.ip}\nport: {NATS_PORT}\nserver_name: laboratory\ninclude "{users.server_file.name}"\n'
    )
    (directory / "nats-server.conf").write_text(config, encoding="utf-8")
    return users


def server(machine: Machine, directory: Path, log: Path) -> Program:
    """Return the server."""
    command = ("nats-server", "--config", str(directory / "nats-server.conf"))
    return Program("nats", machine, command, log, lambda said: _READY in said)
