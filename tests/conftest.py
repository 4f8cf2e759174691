"""What every test may use: golden files, Hypothesis in measure, and a clear word where a kernel test can't run."""

import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import settings

from mooring.sandbox import MARK

# A run that was started in the background ignores these, and so would every program that a test starts.
for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored is signal.SIGINT else signal.SIG_DFL)

# Two slow cores are shared: enough examples to find what is wrong, and no deadline, which would test the machine instead.
settings.register_profile("mooring", max_examples=200, deadline=None)
settings.load_profile("mooring")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite golden files with what the code now says")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") and os.environ.get(MARK) != "1":
        pytest.fail(
            "this test changes kernel state and runs in the sandbox only: use `make test`, or `mooring sandbox -- pytest ...`",
            pytrace=False,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that run in a VM only: tests/vm/test_in_vm.py runs each of them there."""
    if os.environ.get("MOORING_VM") != "1":
        left_out = [item for item in items if item.get_closest_marker("vm")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name in `goldens` beside the test; with --bless, write the file instead."""

    def compare(name: str, text: str) -> None:
        path = request.path.parent / "goldens" / name
        if request.config.getoption("--bless"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: `make bless` writes it; then read it"
        assert text == path.read_text(encoding="utf-8"), (
            f"{path} says otherwise: `make bless` rewrites it; then read the diff"
        )

    return compare
