"""A change costs the kernel as many messages, and as few commands, with one guest as with hundreds: they are counted, system call by system call."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

FEW, MANY = 1, 600
CALLS = "sendmsg,sendto,recvmsg,recvfrom,execve,write"
CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)[( ].* = (\d+)$")
MARK = re.compile(r'write\(2, "<([01] [a-z ]+|end)>')


def counted(guests: int, directory: Path) -> dict[str, Counter[str]]:
    """Return of each change, the second time that it is made, its system calls and their bytes."""
    trace, run = directory / f"{guests}.trace", directory / str(guests)
    command = (sys.executable, "-m", "tests.backends.linux.changes", str(guests), str(run))
    subprocess.run(["strace", "-f", "-q", "-e", f"trace={CALLS}", "-o", trace, *command], check=True, timeout=300)
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    name = "end"
    for line in trace.read_text(errors="replace").splitlines():
        if (mark := MARK.search(line)) is not None:
            name = mark[1]
        elif name != "end" and (call := CALL.search(line)) is not None and call[1] != "write":
            found[name].update({call[1]: 1, f"{call[1]}, bytes": int(call[2])})
    return {name[2:]: counts for name, counts in found.items() if name.startswith("1 ")}


def test_a_change_costs_as_many_messages_whoever_else_is_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    one, hundreds = (counted(guests, tmp_path) for guests in (FEW, MANY))
    assert set(one) == {"forward", "forward no more", "prefer", "prefer otherwise", "allow", "disallow"}
    assert hundreds == one
    assert all(counts["sendmsg"] + counts["sendto"] and not counts["execve"] for counts in one.values()), one
