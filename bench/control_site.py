"""A whole mooring of several processes, to be measured: PostgreSQL, NATS, api, controller and agents, each as an operator would run it.

The gateway host's agent is `mooring agent` on a real kernel, in a namespace of its own.  The compute hosts' agents are mooring's as well,
but for their back-end and guests, which are dictionaries: see bench.control_agent.  PostgreSQL keeps its data on the disk that `make` is
used on, with fsync: an acknowledged change is as safe as an operator would want it.
"""

import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.cloud import PASSWORD, Client, log_in
from bench.control_process import Obedient, Running, eventually
from bench.report import BUILD
from bench.world import World
from mooring.lab import bus, database
from mooring.lab.machine import Machine
from mooring.main.busconfig import BusDirectory, Wish

GATEWAY = "gateway"
_HOME = Path("/run/postgresql")
_DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "log_min_messages": "fatal"}


class _Here(Machine):
    """The sandbox itself, as the laboratory's machine."""

    def enter(self, *command: str) -> Sequence[str]:
        return command


class Site:
    """The installation.  Entering it takes some seconds; leaving it ends all of its processes."""

    def __init__(self, computes: Sequence[str], strangers: Sequence[str]) -> None:
        """Name the compute hosts, and the hosts that somebody else plays."""
        self.computes, self.strangers = computes, strangers
        self.programs: dict[str, Running] = {}
        self.world = World("control")
        self._stack = ExitStack()
        self._directory = Path()
        self.server = ""
        self.port = 0
        self.store: Obedient
        self._token = ""

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            self._stack.enter_context(self.world)
            self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
            self._directory.chmod(0o755)
            self._start_database()
            self._start_bus()
            self._start("controller").wait_for('"controller is up"')
            api = self._start("api")
            self.port = int(api.wait_for(r'"url": "http://127.0.0.1:(\d+)"'))
            api.wait_for('"api is up"')
            self.store = Obedient("bench.control_store", database.URL)
            self._stack.callback(self.store.stop)
            self.store.ask("set_up", strangers=self.strangers)
            self.start_agent(GATEWAY)
            for name in self.computes:
                self.start_agent(name)
            self._token = log_in(self.port)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def client(self) -> Client:
        """Return a tenant with a connection of its own."""
        return Client(self.port, self._token)

    @property
    def credentials(self) -> Path:
        """Return the directory with everybody's credentials for the bus."""
        return self._directory / "bus"

    def start_agent(self, host: str) -> Running:
        """Start the agent of a host, and wait until it is in."""
        program = self._start(host, "agent" if host == GATEWAY else "bench.control_agent")
        program.wait_for('"agent is up"')
        return program

    def empty_gateway(self) -> None:
        """Let the gateway host, whose agent doesn't run, be as after a reboot."""
        self.world.__exit__(None, None, None)
        shutil.rmtree(self._directory / GATEWAY / "run")
        self.world.__enter__()

    def figure(self, host: str, name: str) -> float:
        """Return a figure of an agent, as it shows it to whoever watches it."""
        url = self.programs[host].wait_for(r'"url": "(http://[^"]+)"')
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:  # noqa: S310 - our own
            lines = response.read().decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def stop(self, name: str) -> None:
        """End a process."""
        self.programs[name].stop()

    def _start_database(self) -> None:
        BUILD.mkdir(parents=True, exist_ok=True)
        disk = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD, ignore_cleanup_errors=True)))
        _HOME.mkdir()
        # By this way PostgreSQL, which is no root, gets there, wherever the tree is.
        subprocess.run(["mount", "--bind", str(disk), str(_HOME)], check=True, timeout=30)
        self._stack.callback(subprocess.run, ["umount", "--lazy", str(_HOME)], check=False, timeout=30)
        here = _Here("control", Path("/run"))
        database.prepare(here)
        with (_HOME / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _DURABLE.items())
        log = self._directory / "postgresql.log"
        self._add(Running("postgresql", database.server(here, log).command, log))
        ready = ["pg_isready", "-q", "-h", str(_HOME)]
        eventually(lambda: not subprocess.run(ready, check=False, timeout=30).returncode)

    def _start_bus(self) -> None:
        users = BusDirectory(self.credentials)
        users.write(Wish(hosts=[GATEWAY, *self.computes, *self.strangers]))
        config = f'host: 127.0.0.1\nport: -1\ninclude "{users.server_file.name}"\n'
        (users.path / "nats-server.conf").write_text(config, encoding="utf-8")
        log = self._directory / "nats.log"
        command = bus.server(_Here("control", Path("/run")), users.path, log).command
        self.server = "nats://" + self._add(Running("nats", command, log)).wait_for(r"connections on (127.0.0.1:\d+)")

    def _start(self, name: str, command: str = "") -> Running:
        config = self._directory / f"{name}.toml"
        home = self._directory / name
        home.mkdir(exist_ok=True)
        config.touch(mode=0o600)
        text = self._service(name) if name in ("api", "controller") else self._agent(name)
        common = f'state_directory = "{home}/state"\nrun_directory = "{home}/run"\n[log]\njson_lines = true\n'
        credentials = self.credentials / f"{name}.credentials"
        reached = f'[bus]\nservers = ["{self.server}"]\ncredentials = "{credentials}"\n'
        config.write_text(common + reached + text, encoding="utf-8")
        command = command or name
        program = (command,) if command.startswith("bench.") else ("mooring.cli", command)
        argv = [sys.executable, "-m", *program, "--config", str(config)]
        return self._add(Running(name, argv, self._directory / f"{name}.log"))

    def _service(self, name: str) -> str:
        # The part before the first section belongs to none, so this begins with one.
        text = f'[database]\nurl = "{database.URL}"\n[quotas]\ninstances = -1\nfloating_ips = -1\n'
        text += "security_group_members = -1\n"
        if name == "controller":
            return f"{text}[controller]\nstatus_port = 0\n"
        accounts = "".join(
            f'[[identity.accounts]]\nuser = "{user}"\npassword = "{PASSWORD}"\nproject = "{user}"\nrole = "{role}"\n'
            for user, role in (("admin", "admin"), ("demo", "member"))
        )
        return f"{text}[api]\nport = 0\n[identity]\ntoken_lifetime = 86400\n{accounts}"

    def _agent(self, name: str) -> str:
        part = f'gateway = true\ncompute = false\nnamespace = "{self.world.host}"\n'
        part = part if name == GATEWAY else "gateway = false\ncompute = true\n"
        return f'[agent]\nstatus_port = 0\n[host]\nname = "{name}"\n{part}'

    def _add(self, program: Running) -> Running:
        self.programs[program.name] = program
        self._stack.callback(program.stop)
        return program
