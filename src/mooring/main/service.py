"""What api and controller are built on: the store and the operations."""

import threading

import structlog

from mooring.bus import Bus
from mooring.config import Settings
from mooring.control.bell import BusBell
from mooring.guests.netns import IMAGES
from mooring.main.clock import SystemClock
from mooring.model.faults import Unavailable
from mooring.model.nouns import Flavor, Resource
from mooring.operations import Door, Limits, Operations
from mooring.operations.door import FirstNetwork
from mooring.operations.identity import Account
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


def build_operations(settings: Settings, store: SqlStore, bus: Bus) -> Operations:
    """Build the operations on a store and a bus."""
    networks = settings.networks
    limits = Limits(
        quotas={
            Resource.INSTANCES: settings.quotas.instances,
            Resource.FLOATING_IPS: settings.quotas.floating_ips,
        },
        token_lifetime=settings.identity.token_lifetime,
        vlans=range(networks.vlans[0], networks.vlans[1] + 1),
        vxlans=range(networks.vxlans[0], networks.vxlans[1] + 1),
        first_network=FirstNetwork(networks.first_kind, networks.first_cidr) if networks.first_kind else None,
    )
    return Operations(
        Door(store=store, bell=BusBell(bus), clock=SystemClock(), limits=limits, images=IMAGES, flavors=FLAVORS)
    )


def prepare_accounts(settings: Settings, operations: Operations) -> None:
    """Make the accounts that the configuration names."""
    operations.identity.prepare(
        Account(account.user, account.password, account.project, account.role) for account in settings.identity.accounts
    )
