"""The whole simulated installation: hosts, controllers, API servers, tenants, and who breaks them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

import structlog

from mooring.compile.host import compile_host
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import AddressRange, Caller, InstanceState, NetworkKind, Project, Resource, Role, User
from mooring.model.records import Credentials
from mooring.operations import NewNetwork, NewPool
from tests.simulation.baton import Killed, Violation
from tests.simulation.bus import SimulatedBus
from tests.simulation.clients import Client, Tenant
from tests.simulation.control import ApiProcess, ControllerProcess, operations
from tests.simulation.database.engine import Database, MemoryStore, MemoryTransaction
from tests.simulation.faults import Faults
from tests.simulation.hosts import AgentProcess, Machine
from tests.simulation.invariants import Fencing, check_database, check_kernels, require
from tests.simulation.nemesis import Nemesis
from tests.simulation.surroundings import CONTROL, START, Surroundings

QUOTA = 4
_CONVERGE = 120.0


class World:
    """A run: build it, `run` it, let it `converge`, and `close` it."""

    def __init__(self, seed: int, *, hosts: int = 3, faults: Faults | None = None) -> None:
        self.around = Surroundings(seed, faults)
        self.baton = self.around.baton
        self.bus = SimulatedBus(self.around)
        self.database = Database()
        self.machines = [Machine.build(number, gateway=number <= 2) for number in range(1, hosts + 1)]
        self.tenants: list[Tenant] = []
        self.controllers: list[ControllerProcess] = []
        self.apis: list[ApiProcess] = []
        self.clients: list[Client] = []
        self._fencing = Fencing()
        self._prepare()
        self.baton.after_step = self._after_step
        for number in (1, 2):
            self.start_controller(number)
            self.start_api(number)
        for machine in self.machines:
            self.start_agent(machine)
        pools = ["pool-a", "pool-b"]
        self.clients += [
            Client(self, tenant, f"{tenant.caller.project.name}-{n}", pools) for tenant in self.tenants for n in (1, 2)
        ]
        self.nemesis = Nemesis(self)

    # ------------------------------------------------------------------------------------------------------ to be built

    def _prepare(self) -> None:
        """Make projects, networks and pools before anything can go wrong."""
        store = MemoryStore(self.database, lambda: START)
        admin = Caller(User(UserId("root"), "root"), Project(ProjectId("ops"), "ops"), frozenset({Role.ADMIN}))
        projects = [Project(ProjectId(f"project-{name}"), name) for name in ("blue", "red")]
        with store.write() as tx:
            for project in (admin.project, *projects):
                user = User(UserId(f"user-{project.name}"), project.name)
                tx.identities.add_project(project)
                tx.identities.add_user(Credentials(user, "-", enabled=True))
                for resource in Resource:
                    tx.quotas.set(project.id, resource, QUOTA)
        process = self.around.process("setup")

        def make() -> None:
            real, endpoint = operations(self.around, self.bus, self.database, process, QUOTA)
            for name, number, uplink in (("pool-a", 100, "isp-a"), ("pool-b", 101, "isp-b")):
                first = IPv4Address(f"198.51.{number}.10")
                new = NewPool(
                    name,
                    IPv4Network(f"198.51.{number}.0/24"),
                    first - 9,
                    (AddressRange(first, first + 8),),
                    uplink,
                    uplink,
                )
                real.pools.create(admin, new)
            every = [
                NewNetwork("flat-dhcp", IPv4Network("10.0.0.0/28")),
                NewNetwork("operators", IPv4Network("10.9.0.0/28"), kind=NetworkKind.FLAT, bridge="br0"),
            ]
            for project in projects:
                every += [
                    NewNetwork(f"{kind}-{project.name}", IPv4Network(cidr), kind=kind, project=project.id)
                    for kind, cidr in ((NetworkKind.VLAN, "10.1.0.0/28"), (NetworkKind.VXLAN, "10.2.0.0/28"))
                ]
            for network in every:
                real.networks.create(admin, network)
            endpoint.close()
            self.baton.limit = self.baton.steps

        self.baton.spawn(process, "setup", make)
        self.baton.run(1 << 30)
        for project in projects:
            caller = Caller(User(UserId(f"user-{project.name}"), project.name), project, frozenset({Role.MEMBER}))
            names = ["flat-dhcp", "operators", f"vlan-{project.name}", f"vxlan-{project.name}"]
            self.tenants.append(Tenant(caller, names))

    def start_controller(self, number: int) -> None:
        """Start a controller."""
        self.controllers.append(ControllerProcess(self.around, self.bus, self.database, number, QUOTA))

    def start_api(self, number: int) -> None:
        """Start an API server."""
        self.apis.append(ApiProcess(self.around, self.bus, self.database, number, QUOTA))

    def start_agent(self, machine: Machine) -> None:
        """Start a host's agent."""
        machine.agent = AgentProcess(self.around, self.bus, machine)

    def any_api(self) -> ApiProcess:
        """Return an API server, dead or alive."""
        return self.around.chance.choice(self.apis)

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
            while self.baton.now < end:
                self.baton.run(400)
                if not self.unsettled():
                    break
            wrong = self.unsettled()
            require(not wrong, "liveness", "; ".join(wrong))

    def close(self) -> None:
        """End all threads."""
        self.baton.close()

    def _after_step(self) -> None:
        self.reap()
        around = self.around
        if around.database_changed:
            check_database(self.database.tables, self.tenants)
        if around.database_changed or around.kernels_changed:
            check_kernels(self.database.tables, self.machines)
            self._fencing.check(self.machines)
        around.database_changed = around.kernels_changed = False

    def reap(self) -> None:
        """Hang up what dead processes had open."""
        for api in self.apis:
            if not api.process.alive and api.waiting:
                api.hang_up()

    def unsettled(self) -> list[str]:
        """Return what is not yet as it should be once nothing goes wrong any longer."""
        tables = self.database.tables
        wrong = [f"{row.address} is releasing" for row in tables.addresses.values() if row.releasing]
        wrong += [
            f"instance {record.row.id} is {record.state}"
            for record in tables.instances.values()
            if record.state in (InstanceState.BUILDING, InstanceState.DELETING)
        ]
        for (host, key, role), row in tables.deliveries.items():
            if row.confirmed < row.generation:
                wrong.append(f"{host} has not confirmed {key} {role} {row.generation}: {row.confirmed} {row.error}")
        tx = MemoryTransaction(tables, lambda: START)
        for machine in self.machines:
            entries = tx.deliveries.digest(machine.id)
            placed = tx.deliveries.pending(machine.id, [entry.key for entry in entries])
            intent = compile_host((one.subject, one.role) for one in placed if one.subject is not None)
            if machine.kernel.read() != intent:
                wrong.append(f"{machine.name} is not as its subjects say")
            here = {record.row.id for record in tables.instances.values() if record.host == machine.id}
            active = {one for one in here if tables.instances[one].state is InstanceState.ACTIVE}
            if not active <= machine.guests:
                wrong.append(f"{machine.name} does not run {sorted(active - machine.guests)}")
            if not machine.guests <= here:
                wrong.append(f"{machine.name} runs {sorted(machine.guests - here)}, which are not its own")
        return wrong


@contextmanager
def _logs_to(note: Callable[[str], None]) -> Iterator[None]:
    """Write the real code's log into the trace; an exception that it swallowed is a failure."""

    def write(_logger: object, method: str, event: structlog.types.EventDict) -> str:
        words = " ".join(f"{key}={value}" for key, value in sorted(event.items()) if key not in {"event", "exc_info"})
        note(f"[{event['event']}] {words}")
        if method == "exception":
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


__all__ = ["CONTROL", "Killed", "Unexpected", "Violation", "World"]
