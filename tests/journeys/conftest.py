"""Towns for journeys; one that is only looked at is built once for a module."""

from collections.abc import Iterator

import pytest

from mooring.demos.stage import Stage
from tests.journeys.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Stage(tmp_path_factory.mktemp("town"), keep_port=False) as stage:
        yield Town(stage)
