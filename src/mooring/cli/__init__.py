"""The `mooring` command.

What a command needs beyond typer is imported when it runs: `mooring --help` and `mooring sandbox` must not wait for database and
HTTP libraries.
"""

import os
import sys


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for a refusal or a failure that was told, 2 for wrong usage."""
    from mooring.cli.app import app

    try:
        app(prog_name="mooring")
    finally:
        _let_go()


def _let_go() -> None:
    """Write what waits to be written, while a reader that has gone away can still be forgiven (`mooring ip list | head -1`)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
