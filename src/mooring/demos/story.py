"""How a story is told: steps, real command output, and claims that are checked as they are made."""

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from mooring.demos.stage import Stage

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


@dataclass(frozen=True, slots=True)
class Demo:
    """A story: its name on the command line, one sentence about it, and how to tell it on a stage."""

    name: str
    summary: str
    tell: Callable[[Story, Stage], None]


def tell(demo: Demo, *, once: bool) -> int:
    """Set the stage, tell the story, and stay unless it is to be told once; return the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    done = threading.Event()

    def end(*_: object) -> None:
        # The first signal ends the story, wherever it is; a second one must not disturb the cleaning up.
        if not done.is_set():
            done.set()
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    console.print(Text(f"mooring demo {demo.name}", style="bold"), Text(demo.summary))
    try:
        with Stage(keep_port=not once) as stage:
            story = Story(console)
            demo.tell(story, stage)
            story.end()
            if not once:
                _stay(console, stage, done)
    except StoryFailed as failure:
        console.print(Text(f"\nThe story ends here: it does not hold that {failure}", style="bold red"))
        return 1
    except KeyboardInterrupt:
        console.print("\nCleaned up.")
        return 0 if done.is_set() and not once else 130
    return 0


def _stay(console: Console, stage: Stage, done: threading.Event) -> None:
    console.print(f"\nmooring stays up at {stage.node.url}\n")
    console.print("Paste this into a shell to use it with the openstack command, the SDK or `mooring`:\n")
    for line in stage.openrc().splitlines():
        console.print(Text(line, style="cyan"))
    console.print(f"\nIts log is {stage.log}")
    console.print("\nCtrl-C ends it and removes everything.")
    done.wait()
