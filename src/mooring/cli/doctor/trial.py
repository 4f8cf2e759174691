"""Running what a check tries: other programs, and scripts in network namespaces that vanish with them."""

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from mooring.cli.doctor.check import Lacking

_TIMEOUT = 10.0
_ADMIN_PLACES = (
    "/usr/local/sbin:/usr/sbin:/sbin"  # where nft and dnsmasq are, and an ordinary user's PATH does not look
)


def search_path() -> str:
    """Return PATH with the places of administrators' programs."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), _ADMIN_PLACES])


def find(program: str) -> str:
    """Return the file of a program.

    Raises:
        Lacking: it is not on this machine.
    """
    found = shutil.which(program, path=search_path())
    if found is None:
        raise Lacking("not installed")
    return found


def run(argv: Sequence[str], timeout: float = _TIMEOUT) -> str:
    """Run a program and return what it wrote.

    Raises:
        Lacking: it is not there, or failed; the reason is the first line of its complaint.
        TimeoutExpired: it did not end in time.
    """
    file = find(argv[0])
    environment = {**os.environ, "PATH": search_path(), "LC_ALL": "C"}
    done = subprocess.run(
        [file, *argv[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        env=environment,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        complaint = (done.stderr or done.stdout).strip().splitlines()
        raise Lacking(
            complaint[0].strip().removeprefix("Error: ").rstrip(".")
            if complaint
            else f"{argv[0]} ended with {done.returncode}"
        )
    return done.stdout


@functools.cache
def fresh_network() -> tuple[str, ...]:
    """Return the start of a command line that runs what follows in a new network namespace of its own.

    What is tried decides, not who we are: root of a container may lack the right, an ordinary user may have it.

    Raises:
        Lacking: this machine lets us make none.
    """
    plain = ("unshare", "--net", "--mount")
    try:
        run([*plain, "true"])
    except Lacking:
        own_user = (*plain, "--user", "--map-root-user")
        run([*own_user, "true"])
        return own_user
    return plain


def in_fresh_network(script: str) -> str:
    """Run a shell script in a network namespace that nothing else is in; it stops at the first command that fails.

    `$probe` in it is the command line of mooring.cli.doctor.probe.

    Raises:
        Lacking: a command failed; the reason is the first line that was written to stderr.
    """
    probe = shlex.join([sys.executable, "-m", "mooring.cli.doctor.probe"])
    return run([*fresh_network(), "sh", "-euc", f"probe={shlex.quote(probe)}\n{script}"])
