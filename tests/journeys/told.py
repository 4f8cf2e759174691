"""A story as people run it: `mooring demo`, in a sandbox of its own."""

import os
import subprocess
import sys

from mooring.sandbox import MARK


def told(story: str, seconds: float) -> str:
    """Run a story once, within so many seconds, and return what it said; everything in it held."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "demo", story, "--once"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "Everything held" in done.stdout
    return done.stdout
