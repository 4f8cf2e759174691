"""The story of several providers as people run it, in a sandbox of its own."""

import os
import subprocess
import sys

import pytest

from mooring.sandbox import MARK

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

_TIMEOUT_SECONDS = 600


def test_everything_holds() -> None:
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "demo", "uplinks", "--once"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "Everything held" in done.stdout
    assert done.stdout.count("the trace says: ") == 6
    assert (
        done.stdout.count("you are 203.0.113.11") == done.stdout.count("sees 203.0.113.11") - 3
    )  # awaited without a word
