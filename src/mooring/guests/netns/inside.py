"""Runs commands inside a guest of the netns driver: for demos and tests."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from mooring.guests.netns import inits
from mooring.model.ids import InstanceId
from mooring.model.subjects import GuestFailure


def run_in(guest: InstanceId, argv: Sequence[str], timeout: float = 10) -> subprocess.CompletedProcess[str]:
    """Run a program of the host inside a guest, as its root, and return its exit code and output; the code is not checked.

    The guest sees the host's files read-only, and has /run for its own.

    Raises:
        GuestFailure: the guest does not run.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds; it is dead now.
    """
    init = inits.find(guest)
    if init is None:
        raise GuestFailure(f"guest {guest} does not run.")
    enter = ["nsenter", f"--target={init.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
    with subprocess.Popen(
        [*enter, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": inits.PATH},
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the command is a child of nsenter, and of its group
            raise
        return subprocess.CompletedProcess(list(argv), process.returncode, output, errors)
