"""The agent's loop against a controller in memory, the fake back-end and a fake guest driver."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from mooring.agent.interfaces import GuestFailure, OlderController
from mooring.agent.loop import Agent
from mooring.backends.fake import FakeBackend
from mooring.compile.egress import NO_CARRIER
from mooring.compile.facts import HostState, Key, Place
from mooring.compile.tables import AWAY, BRIDGE, FIP_IN, PORT
from mooring.model.faults import Unavailable
from mooring.model.ids import InstanceId
from mooring.model.subjects import (
    Digest,
    DigestEntry,
    GuestNic,
    HostRole,
    InstanceIntent,
    Placement,
    Report,
    SubjectKey,
    SubjectKind,
)
from tests.agent.world import NETWORKS, World, nic_id, public

GUEST = InstanceId("00000000-0000-4000-8000-0000000000ee")
GUEST_KEY = SubjectKey(SubjectKind.INSTANCE, GUEST)


class _Controller:
    """Holds placements and takes reports; can be away."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.placements: dict[tuple[SubjectKey, HostRole], Placement] = {}
        self.confirmed: dict[tuple[SubjectKey, HostRole], int] = {}
        self.reports: list[Report] = []
        self.away = False
        self.older = False
        self.found: list[Mapping[str, str]] = []
        self.epoch = 0

    def place(self, placements: Sequence[Placement]) -> None:
        with self.lock:
            self.placements.update({(placed.key, placed.role): placed for placed in placements})

    def _here(self) -> None:
        if self.away:
            raise Unavailable("away")

    def pull(self, keys: Sequence[SubjectKey] | None) -> Sequence[Placement]:
        self._here()
        with self.lock:
            return [
                placed
                for part, placed in self.placements.items()
                if (placed.key in keys if keys is not None else self.confirmed.get(part, 0) < placed.generation)
            ]

    def digest(self) -> Digest:
        self._here()
        with self.lock:
            entries = [
                DigestEntry(placed.key, placed.role, placed.generation, placed.subject is not None)
                for placed in self.placements.values()
            ]
        return Digest(self.epoch, tuple(entries))

    def report(self, reports: Sequence[Report]) -> None:
        self._here()
        with self.lock:
            self.reports += reports
            for report in reports:
                if report.error is None:
                    self.confirmed[report.key, report.role] = report.generation

    def uplinks(self, away: Mapping[str, str]) -> None:
        self._here()
        self.found.append(dict(away))
        if self.older:
            raise OlderController("no such call")

    def heartbeat(self) -> None:
        self._here()

    def set_up_network(self, instance: InstanceId) -> None:
        raise AssertionError("the loop does not launch")

    def allocate_fixed_ips(self, instance: InstanceId) -> None:
        raise AssertionError("the loop does not launch")


class _Guests:
    """Guests as a set of names; refuses what it is told to."""

    def __init__(self) -> None:
        self.running: set[InstanceId] = set()
        self.starts = 0
        self.stops = 0
        self.boots = 0
        self.fail = False

    def start(self, guest: InstanceIntent) -> None:
        self.starts += 1
        if self.fail:
            raise GuestFailure("no room")
        self.running.add(guest.id)
        self.boots = guest.boots

    def stop(self, guest: InstanceId) -> None:
        self.stops += 1
        if self.fail:
            raise GuestFailure("it won't")
        self.running.discard(guest)

    def list(self) -> tuple[InstanceId, ...]:
        return tuple(sorted(self.running))


class _Scene:
    def __init__(self) -> None:
        self.world = World()
        self.controller = _Controller()
        self.backend = FakeBackend()
        self.guests = _Guests()
        self.agent = Agent(self.controller, self.backend, self.guests, compare_every=0.2)

    def tell(self, placements: Sequence[Placement]) -> None:
        self.controller.place(placements)
        self.agent.wake()

    def guest(self, generation: int, *, present: bool = True, running: bool = True, boots: int = 0) -> Placement:
        nics = (GuestNic(nic_id(0), NETWORKS[0], "fa:16:3e:01:00:00", 1500),)
        subject = InstanceIntent(GUEST, generation, "guest-0", "web", nics, running, boots) if present else None
        return Placement(GUEST_KEY, generation, HostRole.COMPUTE, subject)


def _eventually(truth: Callable[[], object], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not truth():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def scene() -> Iterator[_Scene]:
    scene = _Scene()
    yield scene
    scene.agent.stop()


def test_it_makes_its_subjects_true_and_says_so(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    scene.tell(scene.world.move(0, 0))
    _eventually(lambda: any(key.table is FIP_IN for key in scene.backend.read()))
    part = (scene.world.nic(0)[0].key, HostRole.GATEWAY)
    _eventually(lambda: scene.controller.confirmed.get(part) == 2)


def test_it_touches_nothing_before_it_has_heard_from_the_controller(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    scene.agent.stop()
    before = dict(scene.backend.state)

    restarted = Agent(scene.controller, scene.backend, scene.guests, compare_every=0.1)
    scene.controller.away = True
    changes = len(scene.backend.applied)
    restarted.start()
    time.sleep(0.5)
    assert scene.backend.state == before
    scene.controller.away = False
    scene.controller.place(scene.world.remove(0))
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    restarted.stop()
    assert len(scene.backend.applied) > changes


def test_it_repairs_drift_at_once_when_it_sees_it_and_soon_when_it_does_not(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), *scene.world.move(0, 0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    element = next(key for key in scene.backend.state if key.table is FIP_IN)
    for silent in (False, True):
        scene.backend.tamper(drop=[element], silent=silent)
        _eventually(lambda: scene.backend.read() == scene.world.compiled())


def test_it_tells_by_which_uplinks_nothing_leaves_and_leaves_that_alone(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    key = Key(AWAY, next(key.place for key in scene.backend.state if key.place.id), ("mu0",))
    scene.backend.tamper(put={key: (NO_CARRIER,)})
    _eventually(lambda: {"mu0": NO_CARRIER} in scene.controller.found)
    told = len(scene.controller.found)
    _eventually(lambda: len(scene.controller.found) > told)  # again and again, for as long as it is so
    assert scene.backend.read() == {**scene.world.compiled(), key: (NO_CARRIER,)}
    assert scene.agent.figures.away == {"mu0": NO_CARRIER}
    scene.backend.tamper(drop=[key])
    _eventually(lambda: scene.controller.found[-1] == {})


def test_an_older_controller_is_told_all_but_uplinks_and_those_once_it_is_upgraded(scene: _Scene) -> None:
    with capture_logs() as logs:
        _tell_an_older_controller(scene)
    said = [log["event"] for log in logs]
    assert len([event for event in said if event.startswith("the controller is older")]) == 1
    assert not [event for event in said if event.startswith("controller away")]


def _tell_an_older_controller(scene: _Scene) -> None:
    scene.controller.older = True
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    key = Key(AWAY, next(key.place for key in scene.backend.state if key.place.id), ("mu0",))
    scene.backend.tamper(put={key: (NO_CARRIER,)})
    _eventually(lambda: scene.controller.found.count({"mu0": NO_CARRIER}) > 1)
    scene.tell(scene.world.move(0, 0))
    part = (scene.world.nic(0)[0].key, HostRole.GATEWAY)
    _eventually(lambda: scene.controller.confirmed.get(part) == 2)
    scene.controller.older = False
    told = len(scene.controller.found)
    _eventually(lambda: len(scene.controller.found) > told)
    assert scene.controller.found[-1] == {"mu0": NO_CARRIER}


def test_it_keeps_the_host_right_while_the_controller_is_away(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    scene.controller.away = True
    scene.backend.tamper(drop=[next(key for key in scene.backend.state if key.table is PORT)])
    _eventually(lambda: scene.backend.read() == scene.world.compiled())


def test_it_says_why_something_cannot_be_made_true(scene: _Scene) -> None:
    scene.backend = FakeBackend(interfaces=())
    scene.agent = Agent(scene.controller, scene.backend, scene.guests, compare_every=0.2)
    scene.controller.place(scene.world.base())
    scene.agent.start()
    _eventually(lambda: any("ext0" in (report.error or "") for report in scene.controller.reports))
    # The rest of the host is as it should be.
    assert [key.row for key in scene.backend.read() if key.table is BRIDGE]
    assert len([report for report in scene.controller.reports if report.error]) == 1


def test_a_guest_starts_after_its_port_and_is_stopped_when_it_must_go(scene: _Scene) -> None:
    scene.agent.start()
    scene.tell([scene.guest(1)])
    time.sleep(0.3)
    assert not scene.guests.running
    scene.tell([*scene.world.base(), *scene.world.add(0)])
    _eventually(lambda: GUEST in scene.guests.running)
    _eventually(lambda: scene.controller.confirmed.get((GUEST_KEY, HostRole.COMPUTE)) == 1)
    scene.tell([scene.guest(2, present=False)])
    _eventually(lambda: not scene.guests.running)
    _eventually(lambda: scene.controller.confirmed.get((GUEST_KEY, HostRole.COMPUTE)) == 2)


def test_a_guest_that_died_is_started_again_and_a_stranger_is_stopped(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    scene.agent.start()
    _eventually(lambda: GUEST in scene.guests.running)
    scene.guests.running.clear()
    _eventually(lambda: GUEST in scene.guests.running)
    stranger = InstanceId("00000000-0000-4000-8000-00000000ffff")
    scene.guests.running.add(stranger)
    _eventually(lambda: stranger not in scene.guests.running)


def test_a_guest_is_plugged_in_again_when_its_port_was_made_again(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    scene.agent.start()
    _eventually(lambda: scene.guests.starts == 1)
    scene.backend.tamper(drop=[next(key for key in scene.backend.state if key.table is PORT)])
    _eventually(lambda: scene.guests.starts == 2)


def test_a_guest_that_cannot_start_is_reported_and_tried_again(scene: _Scene) -> None:
    scene.guests.fail = True
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    scene.agent.start()
    _eventually(lambda: any(report.error == "no room" for report in scene.controller.reports))
    scene.guests.fail = False
    _eventually(lambda: scene.controller.confirmed.get((GUEST_KEY, HostRole.COMPUTE)) == 1)


def test_a_hundred_wake_ups_are_few_pulls(scene: _Scene) -> None:
    scene.controller.place(scene.world.base())
    scene.agent.start()
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    for number in range(20):
        scene.tell(scene.world.add(number))
    scene.tell(scene.world.move(0, 3))
    _eventually(lambda: scene.backend.read() == scene.world.compiled())
    assert public(0).address in {key.row[0] for key in scene.backend.state if key.table is FIP_IN}
    assert len(scene.backend.applied) < 30


def test_it_believes_no_database_that_went_back_until_it_is_renewed() -> None:
    """Step by step, without threads: a backup is put back under a running host."""
    scene, moment = _Scene(), [0.0]
    agent = Agent(scene.controller, scene.backend, scene.guests, compare_every=5.0, monotonic=lambda: moment[0])
    scene.controller.place([*scene.world.base(), *scene.world.add(0)])
    backup = dict(scene.controller.placements)
    agent.step()
    scene.controller.place([*scene.world.add(1), *scene.world.move(0, 0)])
    agent.wake()
    agent.step()
    held = scene.backend.read()
    assert any(key.table is FIP_IN for key in held)
    scene.controller.placements = backup
    said = len(scene.controller.reports)
    for _ in range(3):
        moment[0] += 6.0
        agent.step()
        scene.backend.tamper(drop=[next(key for key in scene.backend.state if key.table is FIP_IN)])
        agent.wake()
        agent.step()
    moment[0] += 6.0
    agent.step()
    # What a stranger changes is still repaired, and nobody is told anything.
    assert scene.backend.read() == held
    assert len(scene.controller.reports) == said
    assert agent.figures.estranged
    scene.controller.epoch = 1
    scene.controller.placements = {
        part: replace(placed, generation=placed.generation + 100) for part, placed in backup.items()
    }
    moment[0] += 6.0
    agent.step()
    assert not any(key.table is FIP_IN for key in scene.backend.read())
    assert len(scene.controller.reports) > said
    assert not agent.figures.estranged


def test_what_a_controller_has_forgotten_is_said_again_but_not_what_is_in_trouble() -> None:
    """A database that was put back knows less than it was told; what could not be done it is not told each second."""
    scene, moment = _Scene(), [0.0]
    agent = Agent(scene.controller, scene.backend, scene.guests, compare_every=5.0, monotonic=lambda: moment[0])
    scene.guests.fail = True
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    agent.step()
    for job in agent.crew.waiting():
        agent.crew.work(job)
    agent.step()
    assert [report.error for report in scene.controller.reports if report.error] == ["no room"]
    confirmed = dict(scene.controller.confirmed)
    assert confirmed
    said = len(scene.controller.reports)
    scene.controller.confirmed.clear()
    agent.wake()
    agent.step()
    assert scene.controller.confirmed == confirmed
    assert len(scene.controller.reports) == said + len(confirmed)


@pytest.mark.parametrize(
    "waits, works, rests",
    [(0.0, 0.0, 5.0), (2.0, 0.0, 3.0), (8.0, 0.0, 8.0), (0.0, 2.0, 18.0), (8.0, 2.0, 18.0), (0.0, 20.0, 60.0)],
)
def test_work_takes_a_tenth_of_the_time_at_most_and_waiting_is_no_work(
    waits: float, works: float, rests: float
) -> None:
    """What a busy controller lets a host wait must not put off the look at its kernel for ten times as long."""
    scene, moment = _Scene(), [0.0]
    digest, read = scene.controller.digest, scene.backend.read

    def slow_digest() -> Digest:
        moment[0] += waits
        return digest()

    def slow_read(place: Place | None = None) -> HostState:
        moment[0] += works
        return read(place)

    scene.controller.digest, scene.backend.read = slow_digest, slow_read  # type: ignore[method-assign]
    agent = Agent(scene.controller, scene.backend, scene.guests, compare_every=5.0, monotonic=lambda: moment[0])
    scene.controller.place(scene.world.base())
    agent.step()
    moment[0] = agent.due  # the first one also makes what is missing
    agent.step()
    assert agent.due - moment[0] == rests


def test_a_guest_is_stopped_and_started_and_begins_anew(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    scene.agent.start()
    confirmed, part = scene.controller.confirmed, (GUEST_KEY, HostRole.COMPUTE)
    _eventually(lambda: confirmed.get(part) == 1)
    scene.tell([scene.guest(2, running=False)])
    _eventually(lambda: confirmed.get(part) == 2)
    assert not scene.guests.running
    # Its ports stay as they are.
    assert scene.backend.read() == scene.world.compiled()
    scene.tell([scene.guest(3, boots=1)])
    _eventually(lambda: confirmed.get(part) == 3)
    assert scene.guests.running == {GUEST}
    scene.tell([scene.guest(4, boots=2)])
    _eventually(lambda: confirmed.get(part) == 4)
    assert scene.guests.boots == 2


def test_a_stopped_guest_stays_so_when_the_agent_starts_anew(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1, running=False)])
    scene.guests.running.add(GUEST)
    scene.agent.start()
    _eventually(lambda: scene.controller.confirmed.get((GUEST_KEY, HostRole.COMPUTE)) == 1)
    assert (scene.guests.running, scene.guests.starts) == (set(), 0)


def test_a_guest_that_does_not_stop_is_told_of_and_tried_again(scene: _Scene) -> None:
    scene.controller.place([*scene.world.base(), *scene.world.add(0), scene.guest(1)])
    scene.agent.start()
    part = (GUEST_KEY, HostRole.COMPUTE)
    _eventually(lambda: scene.controller.confirmed.get(part) == 1)
    scene.guests.fail = True
    scene.tell([scene.guest(2, running=False)])
    _eventually(lambda: any(report.error == "it won't" for report in scene.controller.reports))
    scene.guests.fail = False
    _eventually(lambda: scene.controller.confirmed.get(part) == 2)
    assert not scene.guests.running
