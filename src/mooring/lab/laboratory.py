"""The laboratory as one thing: built, started, disturbed and taken down again."""

import contextlib
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from mooring.lab import bus, database, wires
from mooring.lab.client import Client, Thing
from mooring.lab.door import Door
from mooring.lab.files import Files
from mooring.lab.machine import NAMESPACES, LaboratoryFailed, Machine
from mooring.lab.plan import API_PORT, CONTROL, NATS_PORT, Database, HostPlan, Plan
from mooring.lab.program import Program
from mooring.model.ids import HostId, InstanceId, guest_namespace, host_id
from mooring.sandbox import SandboxRefused, inside

_TIMEOUT = 60
_POLL = 0.05
_CUT = "mooring_lab"
# Nothing on their way needs a capability: that they work without is part of what the laboratory shows.
_NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--")


def agent_of(host: str) -> str:
    """Return the name of a host's agent among the programs."""
    return f"agent.{host}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the laboratory keeps its files: `home` is seen by people, too, and `run` by the laboratory only."""

    home: Path
    run: Path

    @property
    def logs(self) -> Path:
        """Return where every program's log is."""
        return self.home / "logs"


class Laboratory:
    """Hosts, providers, a database, a bus, and mooring's processes.

    To be entered in a sandbox: what is left of it when it is killed is left in there.
    """

    def __init__(self, plan: Plan, home: Path, *, port: int = 0) -> None:
        """Plan it, with its files below `home`; the API answers on `port` of 127.0.0.1, or any."""
        self.plan = plan
        self.place = Place(home, Path("/run") / f"lab-{secrets.token_hex(3)}")
        self.machines: dict[str, Machine] = {}
        self.programs: dict[str, Program] = {}
        self.password = ""
        self._port = port
        self._door: Door
        self._files: Mapping[str, Path] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Build it and start everything.

        Raises:
            LaboratoryFailed: with the reason.
            SandboxRefused: not in a sandbox, where all of it would be the machine's own.
        """
        if not inside():
            raise SandboxRefused("A laboratory is only built in a sandbox: mooring sandbox -- COMMAND.")
        try:
            self._build()
            self._start()
        except BaseException as failure:
            # As the end of a `with`: should the taking down fail as well, both reasons are told.
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it down."""
        self.close()

    def close(self) -> None:
        """Take everything down, whatever state it is in; logs stay."""
        self._stack.close()

    # ----------------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        self.place.logs.mkdir(parents=True, exist_ok=True)
        self.place.run.mkdir(mode=0o755)
        self._stack.callback(shutil.rmtree, self.place.run, ignore_errors=True)
        plain = list(wires.namespaces(self.plan))
        self._stack.callback(wires.remove_namespaces, plain)
        wires.make_namespaces(plain)
        for name in (CONTROL, *(host.name for host in self.plan.machines)):
            self.machines[name] = machine = Machine(name, self.place.run / name)
            self._stack.callback(machine.power_off)
            machine.boot()
        wires.lay(self.plan)
        self._door = Door(CONTROL, (self.plan.control.ip, API_PORT), self._port)
        self._stack.callback(self._door.close)

    def _start(self) -> None:
        control = self.machines[CONTROL]
        logs = self.place.logs
        users = bus.prepare(self.plan, self.place.home / "bus")
        files = Files(self.plan, self.place.home / "config", self._door.url)
        self.password = files.password
        self._files = files.write()
        (control.run / "mooring-state").mkdir(mode=0o700)
        if self.plan.database is Database.POSTGRESQL:
            database.prepare(control)
            self._add(database.server(control, logs / "postgresql.log")).start()
        self._add(bus.server(control, users.path, logs / "nats.log")).start()
        for program in list(self.programs.values()):
            program.wait()
        self._add(self._mooring("controller", "controller", control, _NO_RIGHTS))
        self._add(self._mooring("api", "api", control, _NO_RIGHTS))
        for host in self.plan.machines:
            self._add(self._mooring(agent_of(host.name), "agent", self.machines[host.name], ()))
        self.start_all()

    def _add(self, program: Program) -> Program:
        self.programs[program.name] = program
        return program

    def _mooring(self, name: str, command: str, machine: Machine, before: Sequence[str]) -> Program:
        config = self._files[machine.name if command == "agent" else name]
        argv = (*before, sys.executable, "-m", "mooring.cli", command, "--config", str(config))
        ready: Callable[[str], bool] = lambda said: f'"{command} is up"' in said  # noqa: E731 - one expression
        if name == "api":
            ready = lambda said: f'"{command} is up"' in said and self._healthy()  # noqa: E731
        return Program(name, machine, argv, self.place.logs / f"{name}.log", ready)

    def _healthy(self) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/healthz", timeout=5, trust_env=False).status_code == 200
        return False

    # --------------------------------------------------------------------------------------------------------- using

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return self._door.url

    def client(self, user: str) -> Client:
        """Return the API as a user, logged in."""
        client = Client(self.url, user, self.password)
        self._stack.callback(client.close)
        client.log_in()
        return client

    def host(self, id: str) -> HostPlan:
        """Return a host by its id or name.

        Raises:
            KeyError: there is none.
        """
        known: dict[str, HostPlan] = {}
        for host in self.plan.machines:
            known |= {host.name: host, host_id(host.name): host}
        return known[id]

    def ids(self) -> Mapping[HostId, str]:
        """Return the names of hosts by their ids."""
        return {host_id(host.name): host.name for host in self.plan.machines}

    def at(self, name: str, *command: str) -> Sequence[str]:
        """Return a command that runs on a machine, or in a namespace that is none."""
        if name in self.machines:
            return self.machines[name].enter(*command)
        return ("nsenter", f"--net={NAMESPACES / name}", "--", *command)

    def in_guest(self, host: str, instance: str, *command: str) -> Sequence[str]:
        """Return a command that runs in the network of a guest on a host."""
        return self.machines[host].at(guest_namespace(InstanceId(instance)), *command)

    def run(self, command: Sequence[str], timeout: float = _TIMEOUT) -> str:
        """Run a command and return what it said, whether it succeeded or not."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        return done.stdout + done.stderr

    def answers(self, source: Sequence[str], address: str, wait: float = 1.0) -> bool:
        """Say whether an address answers a ping; `source` is the beginning of a command, as `at` gives it."""
        return ", 1 received" in self.run([*source, "ping", "-c", "1", "-W", f"{wait:g}", address])

    # ---------------------------------------------------------------------------------------------------- disturbing

    def restart(self, *names: str) -> None:
        """Start programs that have ended, and wait until they do their work."""
        for name in names:
            self.programs[name].start()
        for name in names:
            self.programs[name].wait()

    def revive(self) -> Sequence[str]:
        """Start programs that have ended, as a host's init would, without waiting for them; return their names."""
        ended = [program for program in self.programs.values() if not program.runs]
        for program in ended:
            program.start()
        return [program.name for program in ended]

    def start_all(self) -> None:
        """Start every program that does not run, and wait until all do their work."""
        self.restart(*self.programs)

    def cut(self, host: str, *, bus_only: bool) -> None:
        """Cut a host off, from the bus or from all other hosts: packets vanish, as with a broken switch."""
        what = f"tcp dport {NATS_PORT} drop; tcp sport {NATS_PORT} drop" if bus_only else "drop"
        rules = "".join(
            f"chain {hook} {{ type filter hook {hook} priority -200; {device} eth0 jump cut; }}\n"
            for hook, device in (("input", "iifname"), ("output", "oifname"))
        )
        self.nft(host, f"table inet {_CUT} {{ chain cut {{ {what}; }}\n{rules} }}")

    def heal(self, host: str) -> None:
        """Undo `cut`."""
        self.nft(host, f"table inet {_CUT}\ndelete table inet {_CUT}")

    def nft(self, host: str, text: str) -> None:
        """Give a machine's kernel rules; those that disturb have tables of their own.

        Raises:
            LaboratoryFailed: it refuses them.
        """
        command = self.machines[host].enter("nft", "-f", "-")
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=_TIMEOUT, check=False)
        if done.returncode:
            raise LaboratoryFailed(f"nft on {host}: {done.stderr.strip()}")

    def crash(self, host: str) -> None:
        """Take a host's power away: its agent, guests and routers are gone at once."""
        self.machines[host].power_off()

    def settled(self, admin: Client, timeout: float = 30.0) -> Sequence[Thing]:
        """Wait until every host holds all that it should; return the hosts that don't in time."""
        deadline = time.monotonic() + timeout
        while True:
            shown = [admin.get(f"hosts/{host.name}") for host in self.plan.machines]
            behind = [host for host in shown if not host["settled"]]
            if not behind or time.monotonic() > deadline:
                return behind
            time.sleep(_POLL)
