from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.operations.interfaces import Store
from mooring.store import Options, SqlStore
from tests.store.postgres import Postgres
from tests.store.world import Town, Watch, World

# Every test of this folder that asks for a store holds for both.
KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """Return a database with the schema; whoever uses it leaves it empty."""
    url = postgres.url(postgres.new("contract"))
    SqlStore(url, Options(durable=False)).close()
    return url


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return where an empty database is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'mooring.db'}"
        return
    yield request.getfixturevalue("postgres_url")
    request.getfixturevalue("postgres").empty("contract")


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_store(url: str, watch: Watch) -> Iterator[Callable[..., SqlStore]]:
    """Return what opens one and the same database, as often as it is called."""
    opened: list[SqlStore] = []

    def open_it(*, durable: bool = False, patience: float = 30) -> SqlStore:
        opened.append(SqlStore(url, Options(durable=durable, now=watch, patience=patience, readers=64)))
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
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world that all examples of a property share, each with rows of its own: making a store takes longer than an example."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('crowd') / 'mooring.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.new())
    store = SqlStore(url, Options(durable=False))
    yield World(store)
    store.close()
