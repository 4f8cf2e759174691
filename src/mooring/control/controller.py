"""Answers agents' calls, launches instances, and periodically repeats what may have been lost."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from mooring.bus import Bus, Subscription
from mooring.bus.messages import (
    Request,
    answer,
    ask,
    decode_request,
    load_away,
    load_instance,
    load_registration,
    load_reports,
    working_on,
)
from mooring.bus.pages import digest_page, placements_page
from mooring.bus.topics import SCHEDULER, caller_of, compute_topic, controller_topic, host_topic
from mooring.model.faults import Fault, Forbidden
from mooring.model.ids import HostId, InstanceId, host_id
from mooring.model.pools import PoolFill
from mooring.operations import Operations
from mooring.operations.hosts import HostLinks

Heartbeat = Callable[[HostId, str], None]
"""Records that a host is alive, as a machine; raises a Fault if it isn't the one that we know."""

_REPEAT_EVERY = 1.0
_FORGET_EVERY = 600.0
_COUNT_EVERY = 15.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Figures:
    """What a controller counts, for whoever watches it: `behind` hosts now, launches handed to hosts and taken back since its start.

    `pools` is how full pools were lately, and stays as it was while the database is away.
    """

    behind: int = 0
    launches: int = 0
    relaunches: int = 0
    pools: Sequence[PoolFill] = ()


class Controller:
    """One controller; several may run at once, because every step is a guarded transaction."""

    def __init__(self, operations: Operations, bus: Bus, heartbeat: Heartbeat | None = None) -> None:
        """Keep what it works with; nothing runs before `start`.  `heartbeat` takes heartbeats, each by itself unless it is given."""
        beat = heartbeat or operations.hosts.heartbeat
        self._operations = operations
        self._bus = bus
        self.figures = Figures()
        self._counting = threading.Lock()
        self._hearing: datetime | None = None
        self._stop = threading.Event()
        self._served: list[Subscription] = []
        self._thread = threading.Thread(target=self._repeat, name="controller", daemon=True)
        self._methods: dict[str, Callable[[HostId, Any], Any]] = {
            "register": self._register,
            "pull": lambda host, value: placements_page(value, partial(operations.settlement.pull, host)),
            "digest": lambda host, value: digest_page(value, partial(operations.settlement.digest, host)),
            "report": self._report,
            "uplinks": lambda host, value: operations.uplinks.found(host, load_away(value)),
            "heartbeat": lambda host, machine: beat(host, str(machine or "")),
            "set_up_network": self._set_up_network,
            "allocate_fixed_ips": self._allocate_fixed_ips,
        }

    def start(self) -> None:
        """Serve, and repeat once a second what may have been lost."""
        self.serve()
        self._thread.start()

    def serve(self) -> None:
        """Serve agents and the scheduler's topic; `start` does this, too."""
        # Each method by itself: a bus has threads for each topic, and a launch waits for hosts whose reports must find one.
        for method in self._methods:
            topic = controller_topic(HostId("*"), method)
            self._served.append(self._bus.serve(topic, self._answer, "controllers"))
        self._served.append(self._bus.serve(SCHEDULER, self._launch, "schedulers"))

    def stop(self) -> None:
        """Stop serving; what is under way is finished."""
        self._stop.set()
        for subscription in self._served:
            subscription.close()
        if self._thread.is_alive():
            self._thread.join()

    def _answer(self, topic: str, message: bytes) -> bytes:
        # The topic says who calls, and the bus has proved it; what a message says of its sender would prove nothing.
        host, name = caller_of(topic)

        def handle(request: Request) -> Any:
            with bound_contextvars(host=host):
                return self._methods[name](host, request.argument)

        return answer(handle, message)

    def _register(self, host: HostId, value: Any) -> None:
        said = load_registration(value)
        if host_id(said.name) != host:
            raise Forbidden("A host can only register under its own name.", detail=f"{host} says it is {said.name!r}")
        links = HostLinks(said.cluster, said.endpoint, said.vlan_interface, said.trunk_interface)
        self._operations.hosts.register(
            said.name, compute=said.compute, gateway=said.gateway, links=links, machine=said.machine
        )
        _log.info("host registered", name=said.name)

    def _report(self, host: HostId, value: Any) -> None:
        reported = self._operations.settlement.report(host, load_reports(value))
        for instance in reported.active:
            _log.info("instance is active", instance=instance)
        for failed in reported.failed:
            self._relaunch(failed.instance, failed.host, failed.reason)

    def _set_up_network(self, host: HostId, value: Any) -> None:
        instance, began = load_instance(value), time.perf_counter()
        made = self._operations.launches.set_up_network(host, instance)
        told = [{"network": one.network, "gateway": one.gateway, "chosen": one.chosen} for one in made]
        _log.info("networks set up", instance=instance, networks=told, milliseconds=_since(began))

    def _allocate_fixed_ips(self, host: HostId, value: Any) -> None:
        instance, began = load_instance(value), time.perf_counter()

        def took(taken: Sequence[IPv4Address]) -> None:
            # Before hosts hear of them, and go on to the launch's next steps.
            told = [str(address) for address in taken]
            _log.info("fixed IPs taken", instance=instance, addresses=told, milliseconds=_since(began))

        self._operations.launches.allocate_fixed_ips(host, instance, took)

    def _relaunch(self, instance: InstanceId, host: HostId, reason: str) -> None:
        if self._operations.launches.relaunch(instance, host, reason):
            with self._counting:
                self.figures.relaunches += 1
            _log.warning("launch taken back", instance=instance, host=host, reason=reason)
            self._schedule(instance)

    def _launch(self, _topic: str, message: bytes) -> bytes:
        request = decode_request(message)
        with working_on(request):
            self._schedule(load_instance(request.argument))
        return b""

    def _schedule(self, instance: InstanceId) -> None:
        host = self._operations.launches.schedule(instance)
        if host is not None:
            with self._counting:
                self.figures.launches += 1
            _log.info("launch", instance=instance, host=host)
            self._bus.cast(compute_topic(host), ask(instance))

    def _repeat(self) -> None:
        forget_at, count_at = time.monotonic() + _FORGET_EVERY, time.monotonic()
        while not self._stop.wait(_REPEAT_EVERY):
            self.repeat()
            if time.monotonic() >= count_at:
                self.count_pools()
                count_at = time.monotonic() + _COUNT_EVERY
            if time.monotonic() >= forget_at:
                self.forget()
                forget_at = time.monotonic() + _FORGET_EVERY

    def forget(self) -> None:
        """Let go of what is remembered only for a time; another controller, or the next round, does what this one can't."""
        try:
            forgotten = self._operations.memory.forget()
        except Fault as fault:
            _log.warning("controller waits", reason=fault.reason, detail=fault.detail)
        except Exception:  # noqa: BLE001 - as of the loop itself
            _log.exception("what is too old was not forgotten")
        else:
            if forgotten:
                _log.info("idempotency keys and events forgotten", count=forgotten)

    def count_pools(self) -> None:
        """Count how full pools are: every now and then, and not when somebody asks, so that asking costs nothing."""
        try:
            self.figures.pools = self._operations.pools.fill()
        except Fault as fault:
            _log.warning("controller waits", reason=fault.reason, detail=fault.detail)
        except Exception:  # noqa: BLE001 - as of the loop itself
            _log.exception("pools were not counted")

    def repeat(self) -> None:
        """Wake hosts that are behind and take launches up again that have not moved: any message may have been lost."""
        try:
            behind = self._operations.settlement.behind()
            self.figures.behind = len(behind)
            for host in behind:
                self._bus.cast(host_topic(host), ask())
            self._hearing = self._operations.launches.hearing(self._hearing)
            for instance in self._operations.launches.stranded(self._hearing):
                if instance.host is not None:
                    self._relaunch(instance.id, instance.host, "Its host is away.")
            for instance in self._operations.launches.stuck():
                self._schedule(instance.id)
        except Fault as fault:
            self._hearing = None
            _log.warning("controller waits", reason=fault.reason, detail=fault.detail)
        except Exception:  # noqa: BLE001 - the loop that heals everything else must not die itself
            _log.exception("controller loop failed")


def _since(began: float) -> float:
    """Return the milliseconds that a host has waited for us."""
    return round((time.perf_counter() - began) * 1000, 1)
