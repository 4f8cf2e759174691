"""The agent's loop: one thread that owns the ledger, fed by wake-ups, kernel events, finished guests and its own clock."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from mooring.agent.crew import Crew, Job, Outcome
from mooring.agent.interfaces import Backend, Controller, Guests, OlderController, Refused
from mooring.agent.ledger import Ledger, Part, WentBack
from mooring.agent.settle import settle
from mooring.bus.messages import Remote, Request, current_request_id, working_on
from mooring.compile.facts import HostState, Place
from mooring.compile.tables import PORT
from mooring.model.faults import Fault
from mooring.model.ids import InstanceId, port_name
from mooring.model.subjects import HostRole, InstanceIntent, Placement, Report, SubjectKey, SubjectKind

COMPARE_EVERY = 5.0
_RETRY_EVERY = 1.0
_COMPARE_AT_LEAST_EVERY = 60.0
_AT_ONCE = 200
"""Of so many subjects one call speaks: the controller answers within its deadline, and others may write in between."""

_REQUESTS_TOLD = 8
T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wake:
    """The controller has something to pull, for this API request if it is for one."""

    request_id: str = ""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Somebody else may have changed a place."""

    place: Place


@dataclass(frozen=True, slots=True)
class _Stop:
    """End the loop."""


_Event = _Wake | _Doubt | _Stop | Outcome


@dataclass(slots=True)
class Figures:
    """What an agent counts, for whoever watches it: since its start, or as it is now (`refused`, `guests`, `facts`, `estranged`).

    `estranged` is whether the controller's database is an older one, so that nothing it says is believed.
    `away` are the uplink devices by which nothing leaves, each with the reason.
    `drift` counts facts that somebody else had changed, `compares` the looks at the whole host, and `compare_seconds` the time they took.
    """

    compares: int = 0
    compare_seconds: float = 0.0
    drift: int = 0
    refused: int = 0
    guests: int = 0
    facts: int = 0
    estranged: bool = False
    away: Mapping[str, str] = field(default_factory=dict[str, str])


def _request_of(events: Sequence[_Event]) -> Request:
    """Return the API requests that a turn is for, as one: several wake-ups are one pull."""
    told = [event.request_id for event in events if isinstance(event, _Wake)]
    told += [event.job.request_id for event in events if isinstance(event, Outcome)]
    ids = dict.fromkeys(id for request in told for id in request.split())
    return Request(request_id=" ".join(list(ids)[:_REQUESTS_TOLD]))


class Agent:
    """Keeps one host as its subjects say.

    It touches nothing before it has heard from the controller once, and goes on keeping what it knows when the controller is away.
    """

    def __init__(
        self,
        controller: Controller,
        backend: Backend,
        guests: Guests,
        *,
        compare_every: float = COMPARE_EVERY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what it works with; nothing runs before `start`.  `compare_every` is in seconds, as `monotonic` counts them."""
        self._controller = controller
        self._backend = backend
        self._guests = guests
        self._compare_every = compare_every
        self._monotonic = monotonic
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._ledger = Ledger()
        self.crew = Crew(guests, self._events.put)
        self._introduced = False
        self._reported: dict[Part, Report] = {}
        self._unreported: set[Part] = set()
        self._told_away: Mapping[str, str] | None = None
        self._is_older = False
        self._there: set[InstanceId] = set()
        self._running: dict[InstanceId, int] = {}
        self._failures: dict[InstanceId, Outcome] = {}
        self._outcomes: list[Outcome] = []
        self._unplugged: set[InstanceId] = set()
        self._worked_on: set[InstanceId] = set()
        self._untended = True
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._due = 0.0
        self._waited = 0.0
        self.figures = Figures()

    def start(self) -> None:
        """Begin: read the host, then ask the controller what it should hold."""
        self.crew.start()
        self.listen()
        self._thread.start()

    def listen(self) -> None:
        """Hear of what others change on the host; `start` does this, too."""
        self._backend.watch(lambda place: self._events.put(_Doubt(place)))

    def wake(self, request_id: str = "") -> None:
        """Say that there is something to pull; `request_id` is the API request's that made it so."""
        self._events.put(_Wake(request_id))

    def stop(self) -> None:
        """End the loop and leave the host as it is."""
        self._events.put(_Stop())
        if self._thread.is_alive():
            self._thread.join()
        self.crew.stop()
        self._backend.close()

    def _run(self) -> None:
        while self.step(wait=True):
            pass

    @property
    def due(self) -> float:
        """When the whole host is to be compared next."""
        return self._due

    def step(self, *, wait: bool = False) -> bool:
        """Do one turn: with what has come in or, with `wait`, once something has; False if that was the word to stop."""
        events = self._next(wait=wait)
        if any(isinstance(event, _Stop) for event in events):
            return False
        try:
            with working_on(_request_of(events)):
                self._turn(events)
        except (Fault, Remote) as fault:
            _log.warning("controller away; the host stays as it is", reason=fault.reason)
            self._due = min(self._due, self._monotonic() + _RETRY_EVERY)
        except WentBack as reason:
            # Between this comparison and the next, too, nothing is believed of what such a database says.
            self.figures.estranged = True
            _log.error(
                "the controller's database is an older one; the host stays as it is until it is renewed",
                reason=str(reason),
            )
        except Refused as refusal:
            _log.warning("host could not be read", reason=str(refusal))
            self._due = min(self._due, self._monotonic() + _RETRY_EVERY)
        except Exception:  # noqa: BLE001 - an agent that is gone repairs nothing; the next comparison starts from the kernel
            _log.exception("agent's turn failed")
            self._due = self._monotonic() + _RETRY_EVERY
        return True

    def _next(self, *, wait: bool) -> list[_Event]:
        """Take everything that has come in, or wait for something to do first: a hundred wake-ups are one pull."""
        try:
            events = [self._events.get(block=wait, timeout=max(0.0, self._due - self._monotonic()))]
        except queue.Empty:
            events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def _turn(self, events: list[_Event]) -> None:
        # Kept until they are noted: the controller may be away, and end this turn before that.
        self._outcomes += [event for event in events if isinstance(event, Outcome)]
        if self._monotonic() >= self._due:
            start, self._waited = self._monotonic(), 0.0
            self._due = start + self._compare_every
            self._compare()
            # A large host takes long to compare, and meanwhile nothing else is done here: that may not take more than a tenth of the time.
            # Waiting for the controller is no work, and one that has much to do is not asked all the time.
            end = self._monotonic()
            rest = max(self._waited, 9 * (end - start - self._waited))
            self._due = max(self._due, end + min(_COMPARE_AT_LEAST_EVERY, rest))
            self.figures.compares += 1
            self.figures.compare_seconds += end - start
        elif self._introduced:
            for place in sorted({event.place for event in events if isinstance(event, _Doubt)}):
                self._observe(self._backend.read(place), place)
            if any(isinstance(event, _Wake) for event in events) and not self.figures.estranged:
                unconfirmed = self._controller.pull(None)
                self._say_again(unconfirmed)
                self._hold(unconfirmed)
        if self._introduced:
            self._settle()
            self._tend()
            if not self.figures.estranged:
                self._report()
                self._tell_away()
        self.figures.refused = len(self._ledger.refused)
        self.figures.guests = len(self._there)
        self.figures.facts = self._ledger.size

    def _observe(self, state: HostState, place: Place | None = None) -> None:
        before = self._ledger.pending
        self._ledger.observe(state, place)
        # At the first look nothing is known of the host, so that everything is pending before.
        self.figures.drift += max(0, self._ledger.pending - before)

    def _say_again(self, unconfirmed: Sequence[Placement]) -> None:
        """Take back that the controller was told of these: it says that it was not, because its database is an older one."""
        for placed in unconfirmed:
            part = Part(placed.key, placed.role)
            said = self._reported.get(part)
            if said is not None and said.error is None and said.generation == placed.generation:
                del self._reported[part]
                self._unreported.add(part)

    def _hold(self, placements: Sequence[Placement]) -> None:
        changed = self._ledger.hold(placements)
        self._unreported |= changed
        if any(part.key.kind is SubjectKind.INSTANCE for part in changed):
            self._untended = True

    def _settle(self) -> None:
        before = dict(self._ledger.refused)
        put = settle(self._ledger, self._backend)
        after = self._ledger.refused
        self._unreported |= {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)}
        if any(key.table is PORT for key in put):
            # A port that was made (again) waits for its guest to be plugged in.
            devices = {key.row[0] for key in put if key.table is PORT}
            for placed in self._ledger.instances():
                if isinstance(placed.subject, InstanceIntent) and any(
                    port_name(nic.id) in devices for nic in placed.subject.nics
                ):
                    self._running.pop(placed.subject.id, None)
                    self._unplugged.add(placed.subject.id)
                    self._untended = True

    def _compare(self) -> None:
        """Compare the whole host with the controller's digest: what was lost on the way, and what changed unseen, ends here."""
        if self.figures.away or self.figures.estranged:
            self._told_away = None
        try:
            digest = self._await(self._controller.digest)
            self._ledger.accept(digest)
            self.figures.estranged = False
            missing = self._ledger.missing(digest.entries)
            pulls = [self._await(partial(self._controller.pull, some)) for some in _in_parts(missing)]
            placements = [placed for pulled in pulls for placed in pulled]
            self._ledger.forget_absent(digest.entries)
            # What was refused gets another try: what stood in its way may be gone.
            self._ledger.refused.clear()
            self._hold(placements)
            self._failures.clear()
            parts = self._ledger.parts()
            self._unreported.update(parts)
            self._reported = {part: self._reported[part] for part in parts if part in self._reported}
            self._introduced = True
        finally:
            # The kernel is compared with what is known even when the controller is away.
            self._observe(self._backend.read())
            self._untended = True
            if self._introduced:
                self._settle()

    def _await(self, ask: Callable[[], T]) -> T:
        start = self._monotonic()
        answer = ask()
        self._waited += self._monotonic() - start
        return answer

    def _tend(self) -> None:
        """Start guests whose ports are in place, stop those that should not run."""
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            self._note(outcome)
        self._untended = self._untended or bool(outcomes)
        if not self._untended:
            return
        self._there = set(self._guests.list())
        self._untended = False
        wanted: set[InstanceId] = set()
        for placed in self._ledger.instances():
            instance = InstanceId(placed.key.id)
            wanted.add(instance)
            if not isinstance(placed.subject, InstanceIntent) or not placed.subject.running:
                failed = self._failures.get(instance)
                # One that could not be stopped is tried again at the next comparison, too.
                if instance in self._there and (failed is None or failed.job.guest is not None):
                    self._put(Job(instance, placed.generation, None, current_request_id()))
            elif instance not in self._there or self._running.get(instance) != placed.generation:
                if instance in self._failures:
                    # It is tried again at the next comparison, not in a tight loop.
                    continue
                if self._ledger.ready(placed.subject):
                    if self._put(Job(instance, placed.generation, placed.subject, current_request_id())):
                        self._unplugged.discard(instance)
                else:
                    self._untended = True
        for instance in sorted(self._there - wanted):
            self._put(Job(instance, 0, None))

    def _put(self, job: Job) -> bool:
        if not self.crew.put(job):
            return False
        self._worked_on.add(job.instance)
        return True

    def _note(self, outcome: Outcome) -> None:
        instance = outcome.job.instance
        self._unreported.add(Part(SubjectKey(SubjectKind.INSTANCE, instance), HostRole.COMPUTE))
        self._worked_on.discard(instance)
        self._running.pop(instance, None)
        self._failures.pop(instance, None)
        if outcome.error is not None:
            self._failures[instance] = outcome
        elif outcome.job.guest is not None and instance not in self._unplugged:
            # A port that was made again meanwhile may have come too late for it.
            self._running[instance] = outcome.job.generation

    def _report(self) -> None:
        """Tell the controller what came true, or why it did not, since it was last told."""
        unsettled = self._ledger.unsettled()
        reports: list[Report] = []
        for part in sorted(self._unreported, key=lambda part: part.order):
            placed = self._ledger.placement(part)
            if placed is None:
                self._unreported.discard(part)
                continue
            error = self._ledger.refused.get(part)
            if part.key.kind is SubjectKind.INSTANCE:
                failure = self._failures.get(InstanceId(part.key.id))
                if failure is not None and failure.job.generation == placed.generation:
                    error = failure.error
                if error is None and not self._holds(placed):
                    continue
            elif error is None and part in unsettled:
                continue
            reports.append(Report(part.key, part.role, placed.generation, error))
        for some in _in_parts(reports):
            fresh = [report for report in some if self._reported.get(Part(report.key, report.role)) != report]
            if fresh:
                self._controller.report(fresh)
            for report in some:
                part = Part(report.key, report.role)
                self._reported[part] = report
                self._unreported.discard(part)

    def _tell_away(self) -> None:
        """Tell by which uplinks nothing leaves, if that has changed; what is so, again and again, for the controller may have forgotten it."""
        self.figures.away = {str(key.row[0]): str(value[0]) for key, value in sorted(self._ledger.observed.items())}
        if self.figures.away == self._told_away:
            return
        try:
            self._controller.uplinks(self.figures.away)
        except OlderController as reason:
            # Hosts come before controllers in an upgrade.  All else is told as ever.
            if not self._is_older:
                _log.warning(
                    "the controller is older than this agent and is not told of uplinks until it is upgraded",
                    reason=str(reason),
                )
            self._is_older = True
        else:
            self._is_older = False
        self._told_away = self.figures.away

    def _holds(self, placed: Placement) -> bool:
        """Say whether a guest runs as it should, or is stopped or gone as it should be."""
        instance = InstanceId(placed.key.id)
        if not isinstance(placed.subject, InstanceIntent) or not placed.subject.running:
            # Nor may somebody be starting it, who was told so before: then it is looked for when they are done.
            return instance not in self._there and instance not in self._worked_on
        return instance in self._there and self._running.get(instance) == placed.generation


def _in_parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), _AT_ONCE):
        yield things[first : first + _AT_ONCE]
