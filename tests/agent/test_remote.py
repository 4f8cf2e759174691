"""The controller over the bus: one that is away is told from one that is there and older."""

from collections.abc import Iterator

import pytest

from mooring.agent.interfaces import OlderController
from mooring.agent.remote import RemoteController
from mooring.bus.inprocess import InProcessBus
from mooring.bus.messages import Request, answer
from mooring.bus.topics import controller_topic
from mooring.model.faults import Unavailable
from mooring.model.ids import HostId

HOST = HostId("00000000-0000-4000-8000-0000000000ff")
EMPTY = {"placements": [], "more": False}


@pytest.fixture
def bus() -> Iterator[InProcessBus]:
    bus = InProcessBus()
    yield bus
    bus.close()


def test_who_answers_nothing_is_away_and_who_answers_all_but_uplinks_is_older(bus: InProcessBus) -> None:
    remote = RemoteController(bus, HOST)
    with pytest.raises(Unavailable, match="No controller answers"):
        remote.uplinks({})
    bus.serve(controller_topic(HostId("*"), "pull"), lambda _, message: answer(lambda _request: EMPTY, message))
    with pytest.raises(OlderController, match="uplinks"):
        remote.uplinks({})
    heard: list[object] = []

    def hear(request: Request) -> None:
        heard.append(request.argument)

    bus.serve(controller_topic(HostId("*"), "uplinks"), lambda _, message: answer(hear, message))
    remote.uplinks({"mu0": "its wire has no carrier"})
    assert heard == [{"mu0": "its wire has no carrier"}]
