"""How a story is told: steps, real command output, and claims that are checked as they are made."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from rich.console import Console
from rich.text import Text

from mooring.lab.machine import LaboratoryFailed

_COMMAND_TIMEOUT = 60.0


class StoryFailed(Exception):
    """Something that must hold does not; the message says what."""


class Story:
    """Prints a story and fails it at the first claim that doesn't hold."""

    def __init__(self, console: Console) -> None:
        """Begin with step 1."""
        self._console = console
        self._step = 0
        self._began = time.monotonic()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        self._console.print()
        self._console.print(Text(f"{self._step}. {title}", style="bold"))

    def say(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(Text(f"   {text}"))

    def call(self, text: str) -> None:
        """Print a call of a client library, as it is made."""
        self._console.print(Text(f"   >>> {text}", style="cyan"))

    def prompt(self, who: str, command: str) -> None:
        """Print a command as a shell would show it."""
        self._console.print(Text(f"   {who}$ {command}", style="green"))

    def output(self, text: str) -> None:
        """Print what a program said."""
        for line in text.rstrip().splitlines():
            self._console.print(Text(f"   | {line}", style="dim"))

    def run(self, command: Sequence[str], *, prompt: str, timeout: float = _COMMAND_TIMEOUT) -> str:
        """Run a command, print it as `prompt` and a shell would, and return its output."""
        shown = shlex.join(arg for arg in command if not arg.startswith("--net=") and arg != "nsenter")
        self.prompt(prompt, shown)
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        self.output(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def mooring(
        self, user: str, environment: Mapping[str, str], *arguments: str, shown: bool = True, refused: bool = False
    ) -> str:
        """Run the command line as a user whose `environment` says so, and return its output, which is printed if `shown` or bad.

        With `refused` it must fail, and what it says of that is returned.
        """
        command = [sys.executable, "-m", "mooring.cli", *arguments]
        self.prompt(user, f"mooring {shlex.join(arguments)}")
        known = {**os.environ, **environment}
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=False, env=known)
        if shown or done.returncode:
            self.output(done.stdout + done.stderr)
        if refused:
            self.holds("the command is refused", done.returncode == 1)
            return done.stderr
        self.holds("the command succeeded", done.returncode == 0)
        return done.stdout

    def holds(self, claim: str, truth: object) -> None:
        """State a claim, and end the story if it isn't true."""
        if not truth:
            self._console.print(Text(f"   ✗ {claim}", style="bold red"))
            raise StoryFailed(claim)
        self._console.print(Text(f"   ✓ {claim}", style="green"))

    def eventually(self, claim: str, truth: Callable[[], object], timeout: float) -> None:
        """State a claim that must come true within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not (held := truth()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.holds(claim, held)

    def end(self) -> None:
        """Print that everything held."""
        self._console.print()
        self._console.print(Text(f"Everything held, in {time.monotonic() - self._began:.1f} s.", style="bold green"))


class World(Protocol):
    """What every stage has, whatever else is on it."""

    @property
    def url(self) -> str:
        """Return where the API answers."""
        ...

    @property
    def log(self) -> Path:
        """Return where its log is."""
        ...

    def openrc(self) -> str:
        """Return what a shell needs to know to use it."""
        ...


W = TypeVar("W", bound=World)


@dataclass(frozen=True, slots=True)
class Demo(Generic[W]):
    """A story: its name on the command line, one sentence about it, how to build its stage, and how to tell it there.

    `build` is told whether the API is to have its usual port, so that people find it, and a directory for what people may want to read;
    the directory goes when the story is over.
    """

    name: str
    summary: str
    build: Callable[[bool, Path], AbstractContextManager[W]]
    tell: Callable[[Story, W], None]


class _Ending:
    """The first signal ends the story; a later one must not disturb the cleaning up."""

    def __init__(self) -> None:
        """Interrupt nothing yet."""
        self.asked = threading.Event()
        self._interrupts = False

    def __call__(self, *_: object) -> None:
        """Take a signal: raise KeyboardInterrupt where that is expected, else remember it."""
        if not self.asked.is_set():
            self.asked.set()
            if self._interrupts:
                raise KeyboardInterrupt

    @contextmanager
    def interrupting(self) -> Generator[None]:
        """Be interrupted from here on; what came before is taken now.

        Raises:
            KeyboardInterrupt: whenever a signal comes.
        """
        self._interrupts = True
        try:
            if self.asked.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False


def tell(demo: Demo[W], *, once: bool) -> int:
    """Set the stage, tell the story, and stay unless it is to be told once; return the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    ending = _Ending()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ending)
    try:
        console.print(Text(f"mooring demo {demo.name}", style="bold"), Text(demo.summary))
        # A signal that came while a directory is made or removed would leave it behind.
        home = tempfile.TemporaryDirectory(prefix="mooring-demo-")
        with home, ExitStack() as stack, ending.interrupting():
            stage = stack.enter_context(demo.build(not once, Path(home.name)))
            story = Story(console)
            demo.tell(story, stage)
            story.end()
            if not once:
                _stay(console, stage, ending.asked)
    except LaboratoryFailed as failure:
        console.print(Text(f"\n{failure}", style="bold red"))
        return 1
    except StoryFailed as failure:
        console.print(Text(f"\nThe story ends here: it does not hold that {failure}", style="bold red"))
        return 1
    except KeyboardInterrupt:
        console.print("\nCleaned up.")
        return 0 if not once else 130
    return 0


def _stay(console: Console, stage: World, done: threading.Event) -> None:
    console.print(f"\nmooring stays up at {stage.url}\n")
    console.print("Paste this into a shell to use it with the openstack command, the SDK or `mooring`:\n")
    for line in stage.openrc().splitlines():
        console.print(Text(line, style="cyan"))
    console.print(f"\nIts log is {stage.log}")
    console.print("\nCtrl-C ends it and removes everything.")
    done.wait()
