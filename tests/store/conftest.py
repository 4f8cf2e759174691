from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.operations.interfaces import Store
from mooring.store import Options, SqlStore
from tests.store.world import Town, Watch, World

# PostgreSQL joins this list, and every test of this folder holds for it too.
KINDS = ("sqlite",)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=KINDS)
def open_store(request, tmp_path: Path, watch: Watch) -> Iterator[Callable[..., SqlStore]]:
    """Return what opens one and the same database, as often as it is called."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'mooring.db'}"}
    opened: list[SqlStore] = []

    def open_it(*, durable: bool = False, patience: float = 30) -> SqlStore:
        opened.append(SqlStore(urls[request.param], Options(durable=durable, now=watch, patience=patience)))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., SqlStore]) -> Store:
    return open_store()


@pytest.fixture
def world(store: Store, watch: Watch) -> World:
    return World(store, watch)


@pytest.fixture
def town(world: World) -> Town:
    return Town.build(world)


@pytest.fixture(scope="module", params=KINDS)
def crowd(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world that all examples of a property share, each with rows of its own: making a store takes longer than an example."""
    urls = {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('crowd') / 'mooring.db'}"}
    store = SqlStore(urls[request.param], Options(durable=False))
    yield World(store)
    store.close()
