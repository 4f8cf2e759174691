"""python-novaclient 2.18.1 of 2014, in a Python environment of its own: it needs other libraries than today's clients.

It logs in by Keystone v2.0 and calls compute by the catalogue's URL.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mooring.demos import old_nova_program

PYTHON = Path(sys.prefix) / "clients" / "novaclient-2" / "bin" / "python"
"""What `scripts/setup clients` makes."""


class NovaRefused(Exception):
    """What the client raised: its exception's name, the status code if there was one, and the message."""

    def __init__(self, kind: str, code: int | None, message: str) -> None:
        """Keep what was raised."""
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.code = code
        self.message = message


class OldNova:
    """The old client, logged in as an openrc's variables say; it lives as long as the `with` around it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start the client's Python.

        Raises:
            FileNotFoundError: it is not installed.
        """
        base = environment["OS_AUTH_URL"].rstrip("/").removesuffix("/v3")
        known = {**os.environ, **environment, "OS_AUTH_URL": f"{base}/v2.0", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [str(PYTHON), old_nova_program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=known,
        )

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.communicate(timeout=60)

    def __call__(self, method: str, *arguments: object, **named: object) -> Any:
        """Call a method of the client's, as in `nova("servers.add_floating_ip", server, address)`, and return what the server told.

        Raises:
            NovaRefused: what the client raised.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"method": method, "arguments": arguments, "named": named}), file=self._process.stdin)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NovaRefused("Ended", None, f"the old client ended with status {self._process.wait(timeout=60)}")
        answer = json.loads(line)
        if "error" in answer:
            raise NovaRefused(answer["error"], answer["code"], answer["message"])
        return answer["result"]
