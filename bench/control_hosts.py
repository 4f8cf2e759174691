"""Hosts that are simulated, a thousand in one process: to the controller each is one, with a connection and a password of its own.

They speak as mooring's agents do, by the same code (agent.remote): they register, say once a second that they live, ask every five seconds
for the digest, pull when they are woken, confirm all that they pull, and go through a launch.  What they don't do is the work: no fact is
compiled, no kernel touched.

`python -m bench.control_hosts SERVER CREDENTIALS` obeys `bench.control_process.obey`.
"""

import asyncio
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.control_process import obey
from mooring.agent.loop import COMPARE_EVERY
from mooring.agent.pulse import EVERY as BEAT_EVERY
from mooring.agent.remote import RemoteController
from mooring.bus import DeadlineExceeded
from mooring.bus.messages import Registration, Remote, ask, decode_reply, decode_request, load_instance
from mooring.bus.nats import inbox_prefix
from mooring.bus.topics import compute_topic, controller_topic, host_topic
from mooring.main.bus import Credentials, read_credentials
from mooring.model.faults import Fault
from mooring.model.ids import HostId, InstanceId, host_id
from mooring.model.subjects import HostRole, Placement, Report, SubjectKey

_DEADLINE = 10.0
_LAUNCHES_AT_ONCE = 4
_CONNECTING = 50
_LEAVING = 10.0
_THREADS = 128
T = TypeVar("T")
Part = tuple[SubjectKey, HostRole]


@dataclass
class Tally:
    """What all hosts together asked for, how long the answers took, and how many did not come or were refusals."""

    calls: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    failed: dict[str, int] = field(default_factory=dict[str, int])

    def answered(self, method: str, seconds: float) -> None:
        """Note an answer."""
        self.calls.setdefault(method, []).append(seconds)

    def missed(self, method: str) -> None:
        """Note that there was none."""
        self.failed[method] = self.failed.get(method, 0) + 1


class _Wire:
    """A host's connection, by which its RemoteController asks; called from threads, while the connection lives on the loop."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        """Return the answer."""
        asked = asyncio.run_coroutine_threadsafe(self._client.request(topic, message, timeout=timeout), self._loop)
        try:
            return bytes(asked.result(timeout + 1).data)
        except (nats.errors.Error, TimeoutError, FutureTimeout) as error:
            raise DeadlineExceeded(topic) from error


class Host:
    """One host; all of it happens on one loop, but for calls that have much to read, which are made on `threads`."""

    def __init__(self, name: str, credentials: Credentials, threads: ThreadPoolExecutor, tally: Tally) -> None:
        self._name, self._id = name, host_id(name)
        self._credentials = credentials
        self._threads = threads
        self._tally = tally
        self._client = Client()
        self._remote: RemoteController
        self._woken = asyncio.Event()
        self._launching = asyncio.Semaphore(_LAUNCHES_AT_ONCE)
        self._held: dict[Part, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, server: str) -> None:
        """Connect, subscribe, register, and begin to live."""
        own = self._credentials
        prefix = inbox_prefix(own.inbox)
        await self._client.connect(
            server, name=own.inbox, user=own.user, password=own.password, inbox_prefix=prefix, connect_timeout=30
        )
        self._remote = RemoteController(_Wire(self._client, asyncio.get_running_loop()), HostId(self._id))
        for topic, handle in ((host_topic(self._id), self._wake), (compute_topic(self._id), self._launch)):
            await self._client.subscribe(topic, cb=handle)
        said = Registration(self._name, f"machine-of-{self._name}", compute=True, gateway=False, cluster="default")
        await self._ask("register", partial(self._remote.register, said))
        for life in (self._beat(), self._compare(), self._obey()):
            self._keep(life)

    async def leave(self) -> None:
        """Be silent from now on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, method: str, call: Callable[[], T]) -> T | None:
        """Ask the controller; None if there is no good answer."""
        start = time.perf_counter()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except (Fault, Remote):
            self._tally.missed(method)
            return None
        self._tally.answered(method, time.perf_counter() - start)
        return answer

    async def _beat(self) -> None:
        # Not all at once; and without a thread: there are a thousand a second.
        await asyncio.sleep(random.uniform(0, BEAT_EVERY))
        topic, message = controller_topic(self._id, "heartbeat"), ask(f"machine-of-{self._name}")
        while True:
            start = time.perf_counter()
            try:
                decode_reply((await self._client.request(topic, message, timeout=_DEADLINE)).data)
                self._tally.answered("heartbeat", time.perf_counter() - start)
            except (nats.errors.Error, TimeoutError, Fault, Remote):
                self._tally.missed("heartbeat")
            await asyncio.sleep(BEAT_EVERY)

    async def _compare(self) -> None:
        await asyncio.sleep(random.uniform(0, COMPARE_EVERY))
        while True:
            digest = await self._ask("digest", self._remote.digest)
            if digest is not None:
                told: dict[Part, int] = {(entry.key, entry.role): entry.generation for entry in digest.entries}
                missing = sorted({part[0] for part, new in told.items() if self._held.get(part) != new})
                self._held = {part: known for part, known in self._held.items() if part in told}
                if missing:
                    await self._confirm(await self._ask("pull", partial(self._remote.pull, missing)))
            await asyncio.sleep(COMPARE_EVERY)

    async def _obey(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._confirm(await self._ask("pull", partial(self._remote.pull, None)))

    async def _confirm(self, placements: Sequence[Placement] | None) -> None:
        if not placements:
            return
        reports = [Report(placed.key, placed.role, placed.generation) for placed in placements]
        await self._ask("report", partial(self._remote.report, reports))
        self._held.update({(placed.key, placed.role): placed.generation for placed in placements})

    async def _wake(self, _message: Msg) -> None:
        self._woken.set()

    async def _launch(self, message: Msg) -> None:
        self._keep(self._run(load_instance(decode_request(message.data).argument)))

    async def _run(self, instance: InstanceId) -> None:
        async with self._launching:
            await self._ask("set_up_network", partial(self._remote.set_up_network, instance))
            await self._ask("allocate_fixed_ips", partial(self._remote.allocate_fixed_ips, instance))


class Hosts:
    """What the process can be told to do."""

    def __init__(self, server: str, credentials: Path) -> None:
        """Play nobody yet."""
        self._server, self._credentials = server, credentials
        self._hosts: list[Host] = []
        self._tally = Tally()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hosts")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def join(self, names: Sequence[str]) -> object:
        """Let hosts come, and return when all have registered."""
        for name in names:
            credentials = read_credentials(self._credentials / f"{name}.credentials")
            self._hosts.append(Host(name, credentials, self._threads, self._tally))
        self._do(self._join(self._hosts[-len(names) :]))
        return None

    def leave(self) -> object:
        """Let all hosts go."""
        if self._hosts:
            self._do(self._leave())
        self._threads.shutdown(wait=False, cancel_futures=True)
        return None

    def tally(self) -> object:
        """Return what was asked since the last time: for each method how often, how long that took, and how often in vain."""
        calls, failed = self._tally.calls, self._tally.failed
        self._tally.calls, self._tally.failed = {}, {}
        return {
            method: {
                "count": len(times),
                "failed": failed.get(method, 0),
                "median": statistics.median(times) if times else 0.0,
                "p99": sorted(times)[int(len(times) * 0.99)] if times else 0.0,
            }
            for method in sorted(calls.keys() | failed.keys())
            for times in [calls.get(method, [])]
        }

    async def _join(self, hosts: Sequence[Host]) -> None:
        some = asyncio.Semaphore(_CONNECTING)

        async def join(host: Host) -> None:
            async with some:
                await host.join(self._server)

        await asyncio.gather(*map(join, hosts))

    async def _leave(self) -> None:
        # A connection that is being lost may never say that it is closed; who leaves doesn't wait for that.
        await asyncio.wait([asyncio.create_task(host.leave()) for host in self._hosts], timeout=_LEAVING)
        self._hosts.clear()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


if __name__ == "__main__":
    hosts = Hosts(sys.argv[1], Path(sys.argv[2]))
    try:
        obey(hosts)
    finally:
        hosts.leave()
