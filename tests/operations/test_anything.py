"""Any requests in any order, one after the other and at once: whatever was done, nothing is left behind, doubled, or told wrong."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.model.nouns import InstanceState
from mooring.store import Options, SqlStore
from tests.cloud import Cloud
from tests.operations import laws
from tests.operations.anybody import Anybody
from tests.store.postgres import Postgres

_BETWEEN = 15
"""After so many requests the host catches up, and all is looked at."""

_AT_ONCE = 6


def _settle_and_check(cloud: Cloud) -> None:
    cloud.host.come_back()
    for instance in cloud.operations.instances.listing(cloud.caller("root"), every_project=True):
        if instance.state is InstanceState.BUILDING:
            # As the controller does with one whose launch was forgotten.
            cloud.host.launch(instance.id)
    laws.check(cloud)
    laws.check_rows(cloud)
    laws.check_host(cloud)


def _ask(make_cloud: Callable[..., Cloud], seed: int, requests: int) -> Anybody:
    cloud = make_cloud(settle_timeout=0.0, auto_assign=random.Random(seed).choice([None, "public"]))
    who = Anybody.build(cloud, seed)
    for number in range(1, requests + 1):
        who.step()
        if number % _BETWEEN == 0:
            _settle_and_check(cloud)
    return who


def test_one_after_the_other(make_cloud: Callable[..., Cloud]) -> None:
    who = _ask(make_cloud, 0, 7 * _BETWEEN)
    assert who.done.total() > 30
    assert who.refused.total() > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 108))
def test_many_one_after_the_other(make_cloud: Callable[..., Cloud], seed: int) -> None:
    _ask(make_cloud, seed, 30 * _BETWEEN)


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    """A cloud on either database."""
    if request.param == "sqlite":
        yield (cloud := Cloud(tmp_path / "mooring.db", settle_timeout=1.0))
        cloud.close()
        return
    server = Postgres()
    server.start()
    try:
        store = SqlStore(server.url(server.new()), Options(durable=False, readers=16))
        yield Cloud(tmp_path / "none", settle_timeout=1.0, given=store)
        store.close()
    finally:
        server.remove()


@pytest.mark.slow
def test_at_once(shared: Cloud) -> None:
    """Whoever asks, gets an answer or a refusal; any other exception fails the test."""
    crowd = [Anybody.build(shared, seed) for seed in range(_AT_ONCE)]

    def ask(who: Anybody) -> None:
        for _ in range(_BETWEEN):
            who.step()

    for _ in range(6):
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(ask, crowd))
        _settle_and_check(shared)
    assert sum(who.done.total() for who in crowd) > 100
