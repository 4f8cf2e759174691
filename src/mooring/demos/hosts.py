"""Several hosts as a stage: a laboratory, with the story's cloud in it."""

import contextlib
import shlex
from pathlib import Path
from types import TracebackType
from typing import Self

from mooring.cli.openrc import variables
from mooring.demos.stage import free_port
from mooring.lab.files import ADMIN, TENANTS
from mooring.lab.laboratory import Laboratory
from mooring.lab.plan import Plan

_WORDS = 8


class Hosts:
    """A laboratory that a story is told in."""

    def __init__(self, plan: Plan, home: Path, *, keep_port: bool) -> None:
        """Plan it, with its files in a directory.  With `keep_port` the API takes its usual port if that is free, so that people find it."""
        self.plan = plan
        self._home = home
        self.lab: Laboratory
        self._keep_port = keep_port
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Build and start it.

        Raises:
            LaboratoryFailed: with the reason.
            SandboxRefused: not in a sandbox, where all of it would be the machine's own.
        """
        try:
            # Daemons that aren't root pass through it; what is secret is in directories that let nobody pass.
            self._home.chmod(0o711)
            port = free_port() if self._keep_port else 0
            self.lab = self._stack.enter_context(Laboratory(self.plan, self._home, port=port))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take everything down."""
        self._stack.close()

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return self.lab.url

    @property
    def log(self) -> Path:
        """Return where every process's log is."""
        return self.lab.place.logs

    def last_words(self) -> str:
        """Return the ends of all logs, without what is said of every request and change."""
        words: list[str] = []
        for log in sorted(self.log.glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            told = [f"  {line}" for line in lines if '"level": "info"' not in line]
            words += [log.stem, *told[-_WORDS:]]
        return "\n".join(words)

    def openrc(self, user: str = TENANTS[0]) -> str:
        """Return what a shell needs to know to talk to this mooring as a user."""
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.environment(user).items())

    def environment(self, user: str = ADMIN) -> dict[str, str]:
        """Return the environment of a client that talks to this mooring as a user."""
        return dict(variables(self.url, user, self.lab.password, user))
