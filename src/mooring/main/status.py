"""Whether a process is alive and ready, over HTTP: /healthz, /readyz and /metrics.

Alive is whoever answers.  Ready is who reaches what it needs within a second: `checks` are asked each on a thread of its own, because
what is away may not answer at all, and one that does not is not asked again before it does.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mooring.main import metrics
from mooring.model.faults import Fault

_WITHIN = 1.0
_RETRY_AFTER = "5"

Check = Callable[[], None]
"""Raises a Fault, with the reason, if what it asks is away."""


class Probe:
    """One thing that must be there."""

    def __init__(self, check: Check) -> None:
        """Keep how to ask; nobody is asked yet."""
        self._check = check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ready")
        self._asked: Future[str | None] | None = None

    async def ask(self) -> str | None:
        """Return why it is not ready, None if it is, within a second."""
        if self._asked is None or self._asked.done():
            self._asked = self._thread.submit(self._answer)
        try:
            # Not cancelled with the wait: a thread can't be.
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._asked)), _WITHIN)
        except TimeoutError:
            return f"no answer within {_WITHIN:g} s"

    def _answer(self) -> str | None:
        try:
            self._check()
        except Fault as fault:
            return fault.reason
        except Exception as error:  # noqa: BLE001 - what is broken is not ready; the class, because words may be about secrets
            return type(error).__name__
        return None


def status_routes(registry: CollectorRegistry, checks: Mapping[str, Check]) -> list[Route]:
    """Return the routes that every process has."""
    probes = {name: Probe(check) for name, check in checks.items()}

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reasons = dict(zip(probes, await asyncio.gather(*(probe.ask() for probe in probes.values())), strict=True))
        told = {name: reason or "ok" for name, reason in reasons.items()}
        if any(reasons.values()):
            return JSONResponse({"status": "unavailable", **told}, 503, {"Retry-After": _RETRY_AFTER})
        return JSONResponse({"status": "ok", **told})

    async def figures(_request: Request) -> Response:
        # On a thread: collecting may take a while, and answers to others must not wait for it.
        text = await asyncio.to_thread(metrics.text, registry)
        return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", figures)]


def status_app(registry: CollectorRegistry, checks: Mapping[str, Check]) -> Starlette:
    """Return the application of a process that has no other."""
    return Starlette(routes=[*status_routes(registry, checks)])
