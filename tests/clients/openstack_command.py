"""The `openstack` command, unmodified: one process in which one command after another is run, as starting it takes longer than most commands.

As a program it is that process: each line of its input is a command's arguments in JSON, each of its output what the command said and did.
"""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Said:
    """What a command wrote, and the status with which it ended."""

    status: int
    output: str
    errors: str


class OpenStackCommand:
    """Runs `openstack` commands with an openrc's variables."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **variables},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def run(self, *arguments: str) -> Said:
        """Run a command and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(arguments), file=self._process.stdin, flush=True)
        return Said(**json.loads(self._process.stdout.readline()))

    def __call__(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it wrote."""
        said = self.run(*arguments)
        assert said.status == 0, f"openstack {' '.join(arguments)}: {said.errors or said.output}"
        return said.output

    def data(self, *arguments: str) -> Any:
        """Run a command that must succeed; return what it shows."""
        return json.loads(self(*arguments, "-f", "json"))


def _serve() -> None:
    from openstackclient.shell import OpenStackShell

    for line in sys.stdin:
        said = {"output": io.StringIO(), "errors": io.StringIO()}
        with contextlib.redirect_stdout(said["output"]), contextlib.redirect_stderr(said["errors"]):
            try:
                status = OpenStackShell().run(json.loads(line))
            except SystemExit as ended:
                status = 1 if isinstance(ended.code, str) else ended.code or 0
        print(json.dumps({"status": status, **{name: text.getvalue() for name, text in said.items()}}), flush=True)


if __name__ == "__main__":
    _serve()
