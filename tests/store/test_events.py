"""Events in the database: whose, of what, in which order, and for how long."""

from typing import Any

import pytest

from mooring.model.events import Action, Event, EventChoice
from mooring.model.ids import ProjectId, UserId
from tests.store.world import World

ALLOCATE, RELEASE = Action.FLOATING_IP_ALLOCATE, Action.FLOATING_IP_RELEASE


def _add(world: World, *events: tuple[Action, str, str]) -> None:
    for action, thing, project in events:
        with world.store.write() as tx:
            tx.events.add(Event(action, thing, ProjectId(project), UserId("u"), "ada", "req", {"address": "192.0.2.1"}))
        world.watch.tick()


def _found(world: World, project: ProjectId | None, **choice: Any) -> list[tuple[Action, str]]:
    with world.store.read() as tx:
        return [(event.action, event.object) for event in tx.events.list(project, EventChoice(**choice))]


def test_events_are_listed_newest_first_by_whose_and_what(world: World) -> None:
    start = world.watch.moment
    _add(world, (ALLOCATE, "x", "one"), (ALLOCATE, "y", "two"), (RELEASE, "x", "one"))
    assert _found(world, None) == [(RELEASE, "x"), (ALLOCATE, "y"), (ALLOCATE, "x")]
    assert _found(world, ProjectId("one")) == [(RELEASE, "x"), (ALLOCATE, "x")]
    assert _found(world, ProjectId("none")) == []
    assert _found(world, None, object="y") == [(ALLOCATE, "y")]
    assert _found(world, None, action=ALLOCATE) == [(ALLOCATE, "y"), (ALLOCATE, "x")]
    with world.store.read() as tx:
        newest, *older = tx.events.list(None, EventChoice(limit=2))
        (event,) = older
        assert [each.number for each in tx.events.list(None, EventChoice(before=event.number))] == [1]
        (first,) = tx.events.list(None, EventChoice(before=event.number))
    assert newest.number > event.number
    assert first == Event(
        ALLOCATE, "x", ProjectId("one"), UserId("u"), "ada", "req", {"address": "192.0.2.1"}, first.number, start
    )


def test_old_events_are_forgotten_oldest_first(world: World) -> None:
    _add(world, (ALLOCATE, "x", "one"), (ALLOCATE, "y", "one"))
    before = world.watch.moment
    _add(world, (ALLOCATE, "z", "one"))
    for left, count in ((["z", "y"], 1), (["z"], 1), (["z"], 0)):
        with world.store.write() as tx:
            assert tx.events.forget(before, 1) == count
        assert [thing for _, thing in _found(world, None)] == left


def test_an_event_goes_with_its_transaction(world: World) -> None:
    def refused() -> None:
        with world.store.write() as tx:
            tx.events.add(Event(ALLOCATE, "x", ProjectId("one"), UserId("u"), "ada", "req"))
            raise KeyError

    with pytest.raises(KeyError):
        refused()
    assert _found(world, None) == []
