"""Runs a command in a VM: what scripts/in-vm starts."""

import argparse
import sys
from pathlib import Path

from tests.vm.machine import Job, VmFailure, run


def main() -> int:
    """Run the command line's command and return its exit code; 125 if the VM failed, as `timeout` and `docker run` have it."""
    parser = argparse.ArgumentParser(prog="in-vm", description="Runs a command in a VM that sees this machine's files.")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB")
    parser.add_argument("--processors", type=int, default=1, metavar="N")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...")
    chosen = parser.parse_args()
    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        parser.error("which command?")
    environment = dict(each.partition("=")[::2] for each in chosen.env)
    job = Job(command, Path.cwd(), environment, chosen.memory, chosen.processors, chosen.timeout)
    try:
        return run(job)
    except VmFailure as failure:
        sys.stderr.write(f"in-vm: {failure}\n")
        return 125


if __name__ == "__main__":
    sys.exit(main())
