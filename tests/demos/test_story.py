"""How stories are told: a claim that doesn't hold ends one, and what comes of it is the exit code."""

import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from mooring.demos.story import Demo, Story, StoryFailed, tell
from mooring.lab.machine import LaboratoryFailed


class Nowhere:
    """A stage with nothing on it."""

    url = "http://127.0.0.1:1"
    log = Path("/nowhere")

    def openrc(self) -> str:
        return ""


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A story takes the process's signals; give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def told(tale: Callable[[Story], None]) -> tuple[int, list[str]]:
    """Tell a story on an empty stage, and return its exit code and what happened to the stage."""
    happened: list[str] = []

    @contextmanager
    def build(keep_port: bool, home: Path) -> Iterator[Nowhere]:
        happened.append(f"built, port {'kept' if keep_port else 'any'}")
        try:
            yield Nowhere()
        finally:
            happened.append("gone" if home.is_dir() else "gone after its files")

    return tell(Demo("test", "A test.", build, lambda story, _: tale(story)), once=True), happened


def test_a_story_whose_claims_hold_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(lambda story: story.holds("two and two are four", True)) == (0, ["built, port any", "gone"])
    assert "✓ two and two are four" in capsys.readouterr().out


def test_the_first_claim_that_does_not_hold_ends_it_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    def tale(story: Story) -> None:
        story.eventually("pigs fly", lambda: False, timeout=0)
        story.say("never told")

    assert told(tale) == (1, ["built, port any", "gone"])
    said = capsys.readouterr().out
    assert "✗ pigs fly" in said
    assert "it does not hold that pigs fly" in said
    assert "never told" not in said


def test_a_laboratory_that_fails_ends_it_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def tale(_: Story) -> None:
        raise LaboratoryFailed("busybox is not installed")

    assert told(tale)[0] == 1
    assert "busybox is not installed" in capsys.readouterr().out


def test_an_interrupted_story_cleans_up_and_ends_with_130() -> None:
    def tale(_: Story) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    assert told(tale) == (130, ["built, port any", "gone"])


def test_no_files_are_left_by_a_signal_that_comes_while_their_directory_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*arguments: str | None) -> str:
        made = mkdtemp(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    assert told(lambda story: story.say("never told")) == (130, [])
    assert not list(tmp_path.iterdir())


def test_a_signal_does_not_interrupt_the_cleaning_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[bool] = []

    @contextmanager
    def build(_: bool, home: Path) -> Iterator[Nowhere]:
        (home / "log").touch()
        yield Nowhere()
        os.kill(os.getpid(), signal.SIGINT)
        cleaned.append(home.is_dir())

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tell(Demo("test", "A test.", build, lambda _, __: None), once=True) == 0
    assert cleaned == [True]
    assert not list(tmp_path.iterdir())


def test_what_a_failing_command_says_is_told_even_where_its_success_is_not() -> None:
    out = io.StringIO()
    story = Story(Console(file=out, width=200))
    story.mooring("admin", {}, "--version", shown=False)
    assert "| mooring" not in out.getvalue()
    with pytest.raises(StoryFailed, match="the command succeeded"):
        story.mooring("admin", {}, "no-such-command", shown=False)
    assert "no-such-command" in out.getvalue().split("$ mooring no-such-command")[1]


def test_a_demo_without_a_short_version_says_so() -> None:
    command = [sys.executable, "-m", "mooring.cli", "demo", "floating-ip", "--once", "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "mooring: demo floating-ip has no short version.\n"
