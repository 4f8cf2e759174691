"""`mooring lab` as people type it: up, status, exec, env, down; and whatever way it ends, nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.lab.machine import LaboratoryFailed
from mooring.lab.site import Site
from mooring.sandbox import MARK

pytestmark = pytest.mark.kernel
_SMALL = ("--hosts=1", "--gateways=1", "--uplinks=1", "--database=sqlite")


class Shell:
    """A person's shell, outside of any sandbox, who has said where the laboratory is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if name != MARK}
        self.environment["MOORING_LAB"] = str(directory)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mooring.cli", *arguments]

    def run(self, *arguments: str, **more: str) -> tuple[int, str]:
        environment = self.environment | more
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    def says(self, *arguments: str, **more: str) -> str:
        code, words = self.run(*arguments, **more)
        assert code == 0, words
        return words

    def left(self) -> list[str]:
        """Return what there still is of the laboratory: processes that know its directory, and the directory."""
        listed = subprocess.run(["pgrep", "-fa", str(self.directory)], capture_output=True, text=True, check=False)
        return [*listed.stdout.splitlines(), *([str(self.directory)] if self.directory.exists() else [])]


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "lab")
    yield shell
    shell.run("lab", "down")


def test_up_status_exec_env_and_down(shell):
    assert "the laboratory is up: http://127.0.0.1:" in shell.says("lab", "up", "--detach", *_SMALL)
    code, words = shell.run("lab", "up", "--detach", *_SMALL)
    assert code == 1
    assert "runs already" in words
    status = shell.says("lab", "status")
    assert status.count(" runs\n") == 4
    assert "host-1           holds all that it should" in status
    assert "10.255.0.11/24" in shell.says("lab", "exec", "host-1", "--", "ip", "-brief", "address")
    assert "198.51.100.1/24" in shell.says("lab", "exec", "isp-a", "--", "ip", "-brief", "address")
    assert shell.run("lab", "exec", "host-1", "--", "sh", "-c", "exit 7")[0] == 7
    code, words = shell.run("lab", "exec", "host-9", "--", "true")
    assert code == 1
    assert "there is no host-9 here, but control, host-1" in words
    variables = dict(line.removeprefix("export ").split("=", 1) for line in shell.says("lab", "env").splitlines())
    assert "host-1" in shell.says("host", "list", **variables)
    # What dies is started again.
    shell.says("lab", "exec", "host-1", "--", "pkill", "-9", "-f", "mooring.cli agent")
    deadline = time.monotonic() + 30
    while shell.says("lab", "status").count(" runs\n") != 4:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "nothing of it is left" in shell.says("lab", "down")
    assert shell.left() == []
    assert "there is no laboratory" in shell.says("lab", "down")
    code, words = shell.run("lab", "exec", "host-1", "--", "true")
    assert code == 1
    assert "mooring lab up" in words


def test_kill_9_leaves_a_directory_that_the_next_one_removes(shell):
    with subprocess.Popen(
        shell.command("lab", "up", *_SMALL), env=shell.environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as up:
        deadline = time.monotonic() + 60
        while not list(shell.directory.glob("logs/agent.*.log")) and time.monotonic() < deadline:
            time.sleep(0.05)
        up.send_signal(signal.SIGKILL)
        up.wait(timeout=10)
    deadline = time.monotonic() + 10
    while shell.left() != [str(shell.directory)] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shell.left() == [str(shell.directory)]
    assert Site(shell.directory).owner() is None
    assert "nothing of it is left" in shell.says("lab", "down")
    assert shell.left() == []


@pytest.mark.parametrize(
    "wish, why",
    [
        (["--hosts=0"], "1 to 32 hosts, not 0"),
        (["--gateways=9"], "1 to 4 can be gateways, not 9"),
        (["--database=mysql"], "there is no database mysql, only sqlite and postgresql"),
        (["--bus=rabbitmq"], "there is no bus rabbitmq"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_nothing_is_left(shell, wish, why):
    code, words = shell.run("lab", "up", *wish)
    assert code == 1
    assert why in words
    assert "Traceback" not in words
    assert shell.left() == []


def test_somebody_elses_directory_is_not_touched(tmp_path):
    (tmp_path / "thesis").write_text("ten years of work")
    for act in (Site(tmp_path).claim, Site(tmp_path).end):
        with pytest.raises(LaboratoryFailed, match="holds something that is not a laboratory's"):
            act()
    assert (tmp_path / "thesis").exists()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LaboratoryFailed, match="is not a directory of yours"):
        Site(file).end()


def test_a_process_that_has_an_owners_number_is_not_the_owner(tmp_path):
    site = Site(tmp_path / "lab")
    site.claim()
    assert site.owner() == os.getpid()
    (site.directory / "owner").write_text(f"{os.getpid()} 1\n")
    assert site.owner() is None
    site.claim()
    assert site.owner() == os.getpid()
    assert json.dumps(sorted(path.name for path in site.directory.iterdir())) == '["owner"]'
