"""Machines for tests that need no whole laboratory."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mooring.lab.machine import Machine


@pytest.fixture
def run() -> Iterator[Path]:
    """A directory in the sandbox's own /run, through which daemons that aren't root can pass."""
    with TemporaryDirectory(dir="/run") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def machine(run) -> Iterator[Machine]:
    machine = Machine("m1", run / "m1")
    machine.boot()
    yield machine
    machine.power_off()
