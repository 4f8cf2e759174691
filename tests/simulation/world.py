"""The whole simulated installation: hosts, controllers, API servers, tenants, and who breaks them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import structlog

from mooring.model.accounts import Caller, Project, Role, User
from mooring.model.ids import HostId, ProjectId, UserId
from mooring.model.nouns import AddressRange, NetworkKind, Resource
from mooring.model.records import Credentials
from mooring.model.subjects import InstanceIntent
from mooring.operations import NewNetwork, NewPool, Operations
from mooring.operations.epochs import EpochOperations
from tests.simulation.asking import SUBNETS, Tenant
from tests.simulation.baton import Process, require
from tests.simulation.bus import SimulatedBus
from tests.simulation.clients import Client
from tests.simulation.control import ApiProcess, ControllerProcess, operations
from tests.simulation.database.engine import Database, MemoryStore
from tests.simulation.database.tables import Tables
from tests.simulation.faults import Faults
from tests.simulation.habits import HABITS
from tests.simulation.habits.egress import POOLS
from tests.simulation.hosts import AgentProcess, Machine
from tests.simulation.invariants import (
    Fencing,
    check_confirmations,
    check_database,
    check_kernels,
    check_launch,
)
from tests.simulation.invariants_of_habits import check_habits, check_hosts, check_stopped
from tests.simulation.liveness import unsettled
from tests.simulation.nemesis import Nemesis
from tests.simulation.operator import Operator
from tests.simulation.sightings import Sightings
from tests.simulation.surroundings import START, SimulatedChance, SimulatedGate, Surroundings

QUOTA = 4
_CONVERGE = 120.0
_POOLS = ("pool-a", "pool-b")
_ADMIN = Caller(User(UserId("root"), "root"), Project(ProjectId("ops"), "ops"), frozenset({Role.ADMIN}))
_LIKELY = 0.4
_UNTOLD = frozenset({"event", "exc_info", "milliseconds"})
"""What of a log does not belong into the trace: its own text, and what the real clock measures."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The database at a moment, and what tenants knew at that moment: more cannot be asked of a restored one."""

    tables: Tables
    tenants: list[Tenant]


class World:
    """A run: build it, `run` it, let it `converge`, and `close` it.  Its tenants have the habits that are named, and with `draws` those that the seed draws."""

    def __init__(
        self, seed: int, faults: Faults | None = None, habits: frozenset[str] = frozenset(), *, draws: bool = True
    ) -> None:
        self.around = Surroundings(seed, faults)
        self.baton = self.around.baton
        self.bus = SimulatedBus(self.around)
        self.database = Database()
        hosts = self.around.chance.choice((2, 3, 3, 4))
        drawn = frozenset(kind for kind in HABITS if self.around.chance.random() < _LIKELY)
        self.habits = habits | drawn if draws else habits
        self.machines = [Machine.build(number, gateway=number <= 2) for number in range(1, hosts + 1)]
        self.tenants: list[Tenant] = []
        self.controllers: list[ControllerProcess] = []
        self.apis: list[ApiProcess] = []
        self.clients: list[Client | Operator] = []
        self.backup: Backup | None = None
        self._trusted = True
        self._closed = False
        self._fencing = Fencing()
        self._sightings = Sightings(self.around)
        self._prepare()
        self.baton.after_step = self._after_step
        self.around.guest_starts = self._guest_starts
        for number in (1, 2):
            self.controllers.append(ControllerProcess(self.around, self.bus, self.database, number, QUOTA))
            self.apis.append(ApiProcess(self.around, self.bus, self.database, number, QUOTA))
        for machine in self.machines:
            machine.agent = AgentProcess(self.around, self.bus, machine)
        self._start_clients()
        self.nemesis = Nemesis(self)

    # ------------------------------------------------------------------------------------------------------ to be built

    def _prepare(self) -> None:
        """Make projects, networks and pools before anything can go wrong."""
        projects = [Project(ProjectId(f"project-{name}"), name) for name in ("blue", "red")]
        with MemoryStore(self.database, lambda: START).write() as tx:
            for project in (_ADMIN.project, *projects):
                tx.identities.add_project(project)
                user = User(UserId(f"user-{project.name}"), project.name)
                tx.identities.add_user(Credentials(user, "-"))
                for resource in Resource:
                    tx.quotas.set(project.id, resource, QUOTA)
        self.baton.spawn(self.around.process("setup"), "setup", lambda: self._install(projects))
        self.baton.run(1 << 30)
        for project in projects:
            caller = Caller(User(UserId(f"user-{project.name}"), project.name), project, frozenset({Role.MEMBER}))
            names = ["flat-dhcp", "operators", f"vlan-{project.name}", f"vxlan-{project.name}"]
            self.tenants.append(Tenant(caller, names))

    def _install(self, projects: list[Project]) -> None:
        real = self._operations(self.around.process("installer"))
        for name, number, uplink in (("pool-a", 100, "isp-a"), ("pool-b", 101, "isp-b")):
            first, net = IPv4Address(f"198.51.{number}.10"), IPv4Network(f"198.51.{number}.0/24")
            real.pools.create(_ADMIN, NewPool(name, net, net[1], (AddressRange(first, first + 8),), uplink, uplink))
        every = [NewNetwork("flat-dhcp", SUBNETS["flat"])]
        every += [
            NewNetwork("operators", SUBNETS["operators"], kind=NetworkKind.FLAT, bridge="br0", cluster=cluster)
            for cluster in ("east", "west")
        ]
        for project in projects:
            every += [
                NewNetwork(f"{kind}-{project.name}", SUBNETS[kind], kind=kind, project=project.id)
                for kind in (NetworkKind.VLAN, NetworkKind.VXLAN)
            ]
        for network in every:
            real.networks.create(_ADMIN, network)
        self.baton.limit = self.baton.steps

    def _operations(self, process: Process) -> Operations:
        return operations(self.around, self.bus, self.database, process, QUOTA)[0]

    def _start_clients(self) -> None:
        self.clients = [
            Client(
                self,
                tenant,
                f"{tenant.caller.project.name}-{number}",
                list(POOLS if "egress" in self.habits else _POOLS),
                self.habits,
            )
            for tenant in self.tenants
            for number in (1, 2)
        ]
        if "egress" in self.habits:
            self.clients.append(Operator(self, _ADMIN))

    # ------------------------------------------------------------------------------------------------------- to be run

    def run(self, steps: int) -> None:
        """Let everything happen, and go wrong, for so many steps."""
        self.around.faults = self.around.mixture
        self.nemesis.active = True
        with _logs_to(self.baton.note):
            self.baton.run(steps)

    def converge(self) -> None:
        """Let nothing go wrong any longer; after a while everything must be as it should."""
        self.around.faults = Faults.none()
        self.nemesis.heal()
        for client in self.clients:
            client.quiet = True
        end = self.baton.now + _CONVERGE
        with _logs_to(self.baton.note):
            while self._closed or self.unsettled():
                # A restore has a limit of its own.
                end = self.baton.now + _CONVERGE if self._closed else end
                require(self.baton.now < end, "liveness", "; ".join(self.unsettled()))
                self.baton.run(400)

    def close(self) -> None:
        """End all threads."""
        self.baton.close()

    def _after_step(self) -> None:
        for api in self.apis:
            if not api.process.alive and api.waiting:
                api.hang_up()
        around = self.around
        if around.database_changed:
            check_database(self.database.tables, self.tenants)
            check_habits(self.database.tables, self.tenants)
            self._sightings.look(self.database.tables)
        if around.database_changed or around.kernels_changed:
            if self._trusted:
                check_kernels(self.database.tables, self.machines)
                check_hosts(self.database.tables, self.machines)
                check_stopped(self.tenants, self.machines)
            self._fencing.check(self.machines, trusted=self._trusted)
            check_confirmations(self.database.tables, self.machines)
        around.database_changed = around.kernels_changed = False

    def _guest_starts(self, host: HostId, guest: InstanceIntent) -> None:
        if self._trusted:
            check_launch(self.database.tables, host, guest)

    def unsettled(self) -> list[str]:
        """Return what is not yet as it should be once nothing goes wrong any longer."""
        return unsettled(self.database.tables, self.machines)

    # --------------------------------------------------------------------------------------------------- to be broken

    def any_api(self) -> ApiProcess:
        """Return an API server, dead or alive."""
        return self.around.chance.choice(self.apis)

    def processes(self) -> list[Process]:
        """Return every process of ours."""
        found = [api.process for api in self.apis] + [controller.process for controller in self.controllers]
        return found + [machine.agent.process for machine in self.machines if machine.agent]

    def restart_dead(self, probability: float) -> None:
        """Start what has died, as systemd does, unless the operator has stopped it."""
        draw = self.around.chance.random
        for number, api in enumerate(self.apis):
            if not (api.process.alive or self._closed) and draw() < probability:
                api.hang_up()
                self.apis[number] = ApiProcess(self.around, self.bus, self.database, number + 1, QUOTA)
        for number, controller in enumerate(self.controllers):
            if not controller.process.alive and draw() < probability:
                self.controllers[number] = ControllerProcess(self.around, self.bus, self.database, number + 1, QUOTA)
        for machine in self.machines:
            if machine.agent and not machine.agent.process.alive and draw() < probability:
                machine.agent = AgentProcess(self.around, self.bus, machine)

    def take_backup(self) -> None:
        """Remember the database, and with it what tenants know."""
        self.backup = Backup(self.database.backup(), [tenant.copy() for tenant in self.tenants])

    def restore(self, *, renew_at_once: bool) -> None:
        """Put the backup back, as an operator does: stop all, restore, begin an epoch, and let tenants in when all hosts have it.

        Without `renew_at_once` the operator forgets the epoch for a while: agents must not go back.
        """
        assert self.backup is not None
        self._closed, self._trusted = True, False
        for process in [api.process for api in self.apis] + [client.process for client in self.clients]:
            self.baton.kill(process)
        self._stop_controllers()
        self.database.restore(self.backup.tables)
        self.tenants = [tenant.copy() for tenant in self.backup.tenants]
        self.around.database_changed = True
        if not renew_at_once:
            self.around.reached("database went back, and nobody said so")
            self._pass(self.around.chance.uniform(6, 15), lambda: False)
            self._stop_controllers()
        self.nemesis.mend_ways()
        gate = SimulatedGate(self.around, self.around.process("operator"))
        self._renew(
            EpochOperations(MemoryStore(self.database, self.around.database_now, gate), SimulatedChance(self.around))
        )
        self._closed, self._trusted = False, True
        self.around.kernels_changed = True
        self._start_clients()

    def _renew(self, epochs: EpochOperations) -> None:
        """Do what docs/operating/backups.md says: renew, start the controllers, wait for the hosts."""
        with self.around.calm():
            epoch = epochs.begin()
            later = max(machine.epoch for machine in self.machines)
            if later > epoch:
                # Their log names it.
                self.around.reached("epoch of before the clock was set back")
                epoch = epochs.begin(later)
            since = epochs.now()
        self.baton.note(f"epoch {epoch}")

        def follow() -> bool:
            with self.around.calm():
                known = {host.name for host in self.database.tables.hosts.values()}
                return known >= {machine.name for machine in self.machines} and not epochs.laggards(since)

        before = self.baton.steps
        self._pass(300.0, follow)
        # Little goes on meanwhile: it is not what a seed has its steps for.
        self.baton.limit += self.baton.steps - before
        require(follow(), "liveness", f"hosts do not follow into epoch {epoch}")

    def _stop_controllers(self) -> None:
        for controller in self.controllers:
            self.baton.kill(controller.process)

    def _pass(self, seconds: float, done: Callable[[], bool]) -> None:
        """Let time pass, from the nemesis's task, which is the operator's too."""
        end = self.baton.now + seconds
        while self.baton.now < end and not done():
            self.restart_dead(0.5)
            self.baton.sleep(0.5)


@contextmanager
def _logs_to(note: Callable[[str], None]) -> Iterator[None]:
    """Write the real code's log into the trace; an exception that it swallowed is a failure."""

    def write(_logger: object, _method: str, event: structlog.types.EventDict) -> str:
        words = " ".join(f"{key}={value}" for key, value in sorted(event.items()) if key not in _UNTOLD)
        note(f"[{event['event']}] {words}")
        if event.get("exc_info"):
            raise Unexpected(event["event"])
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, write], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


class Unexpected(BaseException):
    """The code under test swallowed an exception that it did not expect."""
