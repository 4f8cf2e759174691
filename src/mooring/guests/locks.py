"""Locks of guests: one process at a time works on a guest, whether it is a thread, another agent, or what a dead agent still has running."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mooring.model.ids import InstanceId, is_uuid
from mooring.model.subjects import GuestFailure

_SECONDS = 30


@contextmanager
def work_on(run_dir: Path, guest: InstanceId) -> Generator[int]:
    """Keep others off a guest and yield its lock: its open directory below `run_dir`, made if it is missing.

    A lock left behind by the dead holds nobody up; one handed on to a child holds until that closes it.

    Raises:
        GuestFailure: the id is none, somebody else still works on the guest, or, in place of an OSError, what went wrong in the block.
    """
    if not is_uuid(guest):
        raise GuestFailure(f"{guest!r} is not the id of a guest.")
    directory = run_dir / guest
    deadline = time.monotonic() + _SECONDS
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # a `stop` came between
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), directory.stat()):
                try:
                    yield lock
                except OSError as error:
                    raise GuestFailure(f"guest {guest}: {error}.") from error
                return
        except (BlockingIOError, FileNotFoundError):
            if time.monotonic() > deadline:
                raise GuestFailure(f"guest {guest} is still being worked on by another process.") from None
        finally:
            os.close(lock)
        time.sleep(0.01)
