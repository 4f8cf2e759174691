from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud import Cloud


@pytest.fixture
def make_cloud(tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    """Make clouds with other settings than usual; each is closed when the test is over."""
    made: list[Cloud] = []

    def make(**settings: Any) -> Cloud:
        made.append(Cloud(tmp_path / f"cloud{len(made)}.db", **settings))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    return make_cloud()
