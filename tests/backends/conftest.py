"""The back-ends that the contract holds for, and a host for those that need a kernel."""

from collections.abc import Generator
from pathlib import Path

import pytest

from mooring.agent.interfaces import Backend
from mooring.backends.fake import FakeBackend
from tests.backends.lab import Lab
from tests.strategies import SEGMENT

INTERFACES = {"ext0", "ext1", SEGMENT}


@pytest.fixture
def lab(tmp_path: Path) -> Generator[Lab]:
    tmp_path.chmod(0o755)
    made = Lab(Path("/run") / tmp_path.name)
    made.ip(made.host, f"link add {SEGMENT} type veth peer name {SEGMENT}-end")
    made.ip(made.host, f"link set {SEGMENT} up")
    yield made
    made.close()


@pytest.fixture(params=["fake", pytest.param("kernel", marks=pytest.mark.kernel)])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "fake":
        return FakeBackend(interfaces=INTERFACES)
    lab: Lab = request.getfixturevalue("lab")
    return lab.backend


@pytest.fixture
def fake() -> Backend:
    return FakeBackend(interfaces=INTERFACES)


@pytest.fixture
def kernel(lab: Lab) -> Backend:
    return lab.backend
