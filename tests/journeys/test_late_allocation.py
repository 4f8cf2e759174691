"""The story of late allocation as people run it, in a sandbox of its own: all of it holds, and nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from mooring.sandbox import MARK
from tests.journeys.town import eventually

pytestmark = pytest.mark.kernel

_END_SECONDS = 60


@contextmanager
def telling(tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Tell the story, with its temporary files in a directory by which also its processes are known."""
    environment = {name: value for name, value in os.environ.items() if name != MARK} | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "mooring.cli", "demo", "late-allocation", *options]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    ) as story:
        try:
            yield story
        finally:
            story.kill()


def read_until(story: subprocess.Popen[str], word: str) -> Sequence[str]:
    """Return what is told up to a line with a word in it."""
    lines: list[str] = []
    for line in story.stdout or ():
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError("".join(lines[-60:]))


def left_behind(tmp_path: Path) -> list[str]:
    """Return the files and the processes of the story that there still are."""
    mark = f"TMPDIR={tmp_path}\0".encode()
    left = [str(path) for path in tmp_path.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes():
                left.append((process / "cmdline").read_bytes().decode())
    return left


def openrc(lines: Sequence[str]) -> Mapping[str, str]:
    """Return the variables of an openrc."""
    exports = [line.removeprefix("export ").strip() for line in lines if line.startswith("export ")]
    return dict(line.split("=", 1) for line in exports)


def log_in(known: Mapping[str, str]) -> int:
    """Log in, and return the status."""
    domain = {"name": known["OS_USER_DOMAIN_NAME"]}
    user = {"name": known["OS_USERNAME"], "password": known["OS_PASSWORD"], "domain": domain}
    scope = {"project": {"name": known["OS_PROJECT_NAME"], "domain": domain}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    return httpx2.post(f"{known['OS_AUTH_URL']}/auth/tokens", json=body, trust_env=False).status_code


def test_everything_holds_and_then_it_stays_until_ctrl_c(tmp_path: Path) -> None:
    with telling(tmp_path, "--short") as story:
        told = read_until(story, "Everything held")
        assert any("0 of" in line and "answers were lost" in line for line in told)
        paper = read_until(story, "Ctrl-C ends it")
        assert log_in(openrc(paper)) == 201
        story.send_signal(signal.SIGINT)
        rest, _ = story.communicate(timeout=_END_SECONDS)
    assert "Cleaned up" in rest
    assert story.returncode == 0
    eventually(lambda: not left_behind(tmp_path))


@pytest.mark.parametrize("moment", ["mooring demo", "3. "])
def test_nothing_is_left_when_it_is_interrupted(tmp_path: Path, moment: str) -> None:
    with telling(tmp_path, "--short", "--once") as story:
        read_until(story, moment)
        story.send_signal(signal.SIGTERM)
        rest, _ = story.communicate(timeout=_END_SECONDS)
    assert rest.strip().endswith("Cleaned up."), rest
    assert story.returncode == 130
    eventually(lambda: not left_behind(tmp_path))


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path) -> None:
    with telling(tmp_path, "--once") as story:
        told = "".join(read_until(story, "Everything held"))
        story.communicate(timeout=_END_SECONDS)
    assert story.returncode == 0
    assert "injected" in told
    eventually(lambda: not left_behind(tmp_path))
