import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

pytest.register_assert_rewrite("tests.guests.contract", "tests.guests.host")

from tests.guests.host import Host  # noqa: E402


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A directory in the sandbox's /run: its path is short, and it goes with the sandbox."""
    path = Path(mkdtemp(prefix="guests-", dir="/run"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def host(run_dir: Path) -> Iterator[Host]:
    made = Host(run_dir)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test-slow` what a class does not name as quick, if it names any."""
    for item in items:
        quick: frozenset[str] | None = getattr(getattr(item, "cls", None), "quick", None)
        if quick is not None and getattr(item, "originalname", "") not in quick:
            item.add_marker(pytest.mark.slow)
