"""Nothing is left of a laboratory with guests in it, whichever way it ends: no process, mount, link, namespace or file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mooring.sandbox import MARK

pytestmark = pytest.mark.kernel


def everything() -> Mapping[str, set[str]]:
    """What there is in the test's own namespaces, where a laboratory's sandbox is one of many processes."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, timeout=30, check=True).stdout
    return {
        "processes": {name.name for name in Path("/proc").iterdir() if name.name.isdecimal()},
        "mounts": {line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()},
        "run": {str(path) for path in Path("/run").rglob("*")},
        "links": {line.split(": ")[1] for line in links.splitlines()},
    }


class Owner:
    """Somebody with a shell and a temporary directory of their own."""

    def __init__(self, home: Path) -> None:
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        self.directory = home / "lab"
        self.environment = {name: value for name, value in os.environ.items() if name != MARK}
        self.environment |= {"MOORING_LAB": str(self.directory), "TMPDIR": str(self.temporary)}

    def command(self, *arguments: str) -> Sequence[str]:
        return (sys.executable, "-m", "mooring.cli", *arguments)

    def says(self, *arguments: str, **more: str) -> str:
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env=self.environment | more,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def populate(self) -> None:
        """Start a guest with a floating IP, and leave an agent that hangs and a server that was killed."""
        admin, red = self.variables("admin"), self.variables("red")
        ways = ("--uplink=isp-a", "--interface=ext0", "--range=198.51.100.10-198.51.100.20")
        self.says("pool", "create", "public", "--cidr=198.51.100.0/24", "--gateway=198.51.100.1", *ways, **admin)
        self.says("network", "create", "red-net", "--kind=vxlan", "--cidr=10.9.0.0/24", "--project=red", **admin)
        self.says("instance", "create", "one", "--image=web", "--wait", **red)
        self.says("ip", "create", "public", **red)
        self.says("ip", "associate", "198.51.100.11", "one", **red)
        self.says("lab", "exec", "host-2", "--", "pkill", "-STOP", "-f", "mooring.cli agent")
        self.says("lab", "exec", "control", "--", "pkill", "-9", "postgres")

    def variables(self, user: str) -> dict[str, str]:
        lines = self.says("lab", "env", "--user", user).splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)


@pytest.fixture
def owner(tmp_path) -> Iterator[Owner]:
    owner = Owner(tmp_path)
    yield owner
    subprocess.run(owner.command("lab", "down"), env=owner.environment, capture_output=True, timeout=120, check=False)


def gone(before: Mapping[str, set[str]], owner: Owner) -> None:
    """Wait until there is what there was: a process that ends is there for a moment longer."""
    deadline = time.monotonic() + 30
    while (now := everything()) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now == before
    assert not owner.directory.exists()
    assert list(owner.temporary.iterdir()) == []


def by_down(owner: Owner, _up: "subprocess.Popen[bytes]") -> None:
    owner.says("lab", "down")


def by_control_c(_owner: Owner, up: "subprocess.Popen[bytes]") -> None:
    os.killpg(up.pid, signal.SIGINT)


def by_kill_9(owner: Owner, up: "subprocess.Popen[bytes]") -> None:
    up.kill()
    up.wait(timeout=30)
    owner.says("lab", "down")


ENDS: dict[str, Callable[[Owner, "subprocess.Popen[bytes]"], None]] = {
    "down": by_down,
    "Ctrl-C": by_control_c,
    "kill -9": by_kill_9,
}


def comes_and_goes(owner: Owner, end: str, *size: str) -> None:
    before = everything()
    command = owner.command("lab", "up", *size)
    with subprocess.Popen(command, env=owner.environment, stdout=subprocess.PIPE, start_new_session=True) as up:
        assert up.stdout is not None
        # Its last line once all is there; if it fails, its output ends.
        assert any(b"to end it" in line for line in up.stdout)
        owner.populate()
        assert everything() != before
        ENDS[end](owner, up)
        up.stdout.read()
        up.wait(timeout=60)
    gone(before, owner)


def test_nothing_is_left(owner: Owner) -> None:
    comes_and_goes(owner, "Ctrl-C", "--hosts=2", "--gateways=1", "--uplinks=1")


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_of_a_large_one(owner: Owner, end: str) -> None:
    comes_and_goes(owner, end, "--hosts=4", "--gateways=2", "--uplinks=2")
