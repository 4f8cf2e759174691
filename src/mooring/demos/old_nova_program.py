"""What a Python that has nothing but an old novaclient runs: each line of its input is a call in JSON, each of its output the answer.

Nothing of mooring is imported here.  A call is {"method": "floating_ips.create", "arguments": [...], "named": {...}}; an answer has what
came back as "result", or the "error" with its "code" and "message".
"""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, cast

# Which one it is depends on the Python that runs this.
from novaclient import client as nova_client  # pyright: ignore[reportMissingTypeStubs]  # in none has it any

_WHO = ("OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_AUTH_URL")


def _plain(value: Any) -> Any:
    """Return what JSON can say of an answer: what the server told of a thing."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast("Iterable[Any]", value)]
    return getattr(value, "_info", value)


def _answer(nova: Any, call: dict[str, Any]) -> dict[str, Any]:
    method = nova
    try:
        for name in call["method"].split("."):
            method = getattr(method, name)
        return {"result": _plain(method(*call["arguments"], **call["named"]))}
    except Exception as error:  # noqa: BLE001 - whatever it is, who called wants to see it
        code = getattr(error, "code", getattr(error, "http_status", None))
        return {"error": type(error).__name__, "code": code, "message": str(error)}


def main() -> None:
    """Log in at each call that needs it, and answer until the input ends."""
    untyped: Any = nova_client
    nova = untyped.Client("1.1", *(os.environ[name] for name in _WHO), timeout=60)
    # It prints warnings of its own now and then; they go where errors go.
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(_answer(nova, json.loads(line)), default=str), file=out, flush=True)


if __name__ == "__main__":
    main()
