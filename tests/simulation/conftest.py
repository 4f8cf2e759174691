"""The fixtures of tests/store, on the simulated database: its contract suite runs here a second time."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mooring.operations.interfaces import Store
from tests.simulation.database.engine import Database, MemoryStore
from tests.store.world import Town, Watch, World


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_store(watch: Watch) -> Callable[..., MemoryStore]:
    """Return what opens one and the same database, as often as it is called."""
    database = Database()

    def open_it(*, durable: bool = False, patience: float = 30) -> MemoryStore:
        return MemoryStore(database, watch, patience=patience)

    return open_it


@pytest.fixture
def store(open_store: Callable[..., MemoryStore]) -> Store:
    return open_store()


@pytest.fixture
def world(store: Store, watch: Watch) -> World:
    return World(store, watch)


@pytest.fixture
def town(world: World) -> Town:
    return Town.build(world)


@pytest.fixture(scope="module")
def crowd() -> World:
    return World(MemoryStore(Database(), lambda: datetime.now(UTC)))
