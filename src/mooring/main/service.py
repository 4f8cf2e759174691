"""What api and controller are built on: the store and the operations."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import structlog
from prometheus_client import CollectorRegistry

from mooring.bus import Bus
from mooring.config import ConfigurationError, FirstUserSettings, Settings
from mooring.control.bell import BusBell
from mooring.guests import netns, qemu
from mooring.main.clock import SystemClock
from mooring.main.keystone import Keystone
from mooring.main.measured import MeasuredBell
from mooring.main.status import Check
from mooring.model.accounts import Role
from mooring.model.faults import Invalid, Unavailable
from mooring.model.ids import HostId
from mooring.model.nouns import Flavor, Resource
from mooring.operations import Door, Limits, Operations, Remembering
from mooring.operations.bootstrap import Account, FirstProject, FirstUser
from mooring.operations.door import FirstNetwork
from mooring.operations.interfaces import Store, Transaction
from mooring.store.engine import SqlStore

_RETRY = 1.0
_log = structlog.get_logger(__name__)

FLAVORS = (
    Flavor("1", "m1.tiny", vcpus=1, ram=128, disk=1),
    Flavor("2", "m1.small", vcpus=1, ram=512, disk=5),
)


def open_store(settings: Settings, done: threading.Event | None = None) -> SqlStore:
    """Open the database; with `done`, wait until it is there or `done` is set.

    Raises:
        Unavailable: it is not there.
    """
    while True:
        try:
            return SqlStore(settings.database_url)
        except Unavailable as fault:
            if done is None or done.is_set():
                raise
            _log.warning("waiting for the database", reason=fault.reason, detail=fault.detail)
            done.wait(_RETRY)


class GuardedStore:
    """A store that changes nothing while the bus is away: hosts would not hear of it, and whoever asked would wait for nothing.

    What is refused here was not begun, so that 503 means what it says.  A change that was committed when the bus went away is made true
    when it is back.
    """

    def __init__(self, store: Store, connected: Callable[[], bool]) -> None:
        """Keep the store, and how to know of the bus."""
        self._store = store
        self._connected = connected

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a consistent snapshot."""
        return self._store.read()

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that commits when left without an exception.

        Raises:
            Unavailable: the bus is away.
        """
        if not self._connected():
            raise Unavailable("The message bus is not available.")
        return self._store.write()


@dataclass(frozen=True, slots=True)
class Foundation:
    """What operations stand on.  `guard` says whether the bus is there, where changes need it."""

    store: Store
    bus: Bus
    registry: CollectorRegistry
    guard: Callable[[], bool] | None = None


def database_check(store: Store) -> Check:
    """Return what asks the database whether it is there."""

    def check() -> None:
        with store.read() as tx:
            tx.topology.host(HostId(""))

    return check


def limits_of(settings: Settings) -> Limits:
    """Return what operations allow, as the configuration has it."""
    networks = settings.networks
    return Limits(
        quotas={
            Resource.INSTANCES: settings.quotas.instances,
            Resource.FLOATING_IPS: settings.quotas.floating_ips,
            Resource.SECURITY_GROUPS: settings.quotas.security_groups,
            Resource.SECURITY_GROUP_RULES: settings.quotas.security_group_rules,
            Resource.SECURITY_GROUP_MEMBERS: settings.quotas.security_group_members,
            Resource.NIC_ADDRESSES: settings.quotas.nic_addresses,
            Resource.PORT_FORWARDINGS: settings.quotas.port_forwardings,
            Resource.NETWORKS: settings.quotas.networks,
            Resource.SUBNETS: settings.quotas.subnets,
            Resource.ROUTERS: settings.quotas.routers,
            Resource.SUBNET_POOLS: settings.quotas.subnet_pools,
            Resource.NICS: settings.quotas.nics,
        },
        token_lifetime=settings.identity.token_lifetime,
        attempts_per_account=settings.identity.failures_per_account,
        attempts_per_source=settings.identity.failures_per_source,
        vlans=range(networks.vlans[0], networks.vlans[1] + 1),
        vxlans=range(networks.vxlans[0], networks.vxlans[1] + 1),
        first_network=FirstNetwork(networks.first_kind, networks.first_cidr) if networks.first_kind else None,
        auto_assign=networks.auto_assign,
        filters=networks.filters,
        own_kind=networks.own_kind,
        names=settings.dns is not None,
    )


def build_operations(settings: Settings, foundation: Foundation) -> Operations:
    """Build the operations.

    Raises:
        ConfigurationError: another identity service is to be asked, and what asks it is not installed.
    """
    door = Door(
        store=foundation.store,
        bell=MeasuredBell(BusBell(foundation.bus), foundation.registry),
        chance=SystemClock(),
        limits=limits_of(settings),
        images=qemu.images_of(settings.vm_images) if settings.host.guests == "qemu" else netns.IMAGES,
        flavors=FLAVORS,
    )
    keystone = settings.identity.keystone
    authority = Keystone(keystone) if keystone is not None else None
    remembering = Remembering(keystone.cache_seconds, keystone.cache_tokens) if keystone is not None else None
    if foundation.guard is None:
        return Operations(door, authority=authority, remembering=remembering)
    # Accounts concern no host, and those who want to see how things are must get in.
    guarded = replace(door, store=GuardedStore(foundation.store, foundation.guard))
    return Operations(guarded, door, authority, remembering)


def prepare_accounts(settings: Settings, operations: Operations) -> None:
    """Make the accounts that the configuration names.

    Raises:
        ConfigurationError: a name cannot be.
    """
    bootstrap = operations.bootstrap
    try:
        bootstrap.prepare(
            Account(account.user, account.password, account.project, account.role)
            for account in settings.identity.accounts
        )
        for project in settings.bootstrap.projects:
            bootstrap.prepare_project(FirstProject(project.name, project.description))
        for user in settings.bootstrap.users:
            bootstrap.prepare_user(_first_user(user))
    except Invalid as fault:
        raise ConfigurationError(f"accounts: {fault}") from fault


def _first_user(user: FirstUserSettings) -> FirstUser:
    roles: dict[str, frozenset[Role]] = {}
    for given in user.roles:
        roles[given.project] = roles.get(given.project, frozenset()) | {given.role}
    return FirstUser(user.name, user.password, user.password_hash, user.description, user.email, roles)
