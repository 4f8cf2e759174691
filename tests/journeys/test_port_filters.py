"""The story of port filters as people run it, in a sandbox of its own; and that what it forges would come through without them."""

import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.config import NetworkSettings, Settings
from mooring.demos.frames import End, Watch, send
from mooring.demos.impostor import Street, attempts
from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS, Stage
from mooring.model.ids import InstanceId, guest_namespace
from tests.journeys.told import told
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel

_ROUTER = IPv4Address("10.0.0.1")


class Unguarded(Stage):
    """A stage whose guests have no filters."""

    def _settings(self, state: Path) -> Settings:
        return super()._settings(state).model_copy(update={"networks": NetworkSettings(filters=False)})


def test_everything_holds() -> None:
    story = told("port-filters", 400)
    assert story.count("its last byte came") == 2
    assert story.count(": came to nobody") == 8


def _end(town: Town, guest: InstanceId) -> End:
    mac = re.search(r"link/ether (\S+)", town.inside(guest, "ip", "link", "show", "eth0"))
    assert mac is not None
    return End(mac[1], town.fixed(guest))


def test_without_filters_all_that_is_forged_arrives(tmp_path: Path) -> None:
    with Unguarded(tmp_path, keep_port=False) as stage:
        town = Town(stage)
        victim, attacker = town.boot("victim"), town.boot("attacker")
        for guest in (victim, attacker):
            assert ", 1 received" in town.inside(guest, "ping", "-c", "1", "-W", "5", str(_ROUTER))
        gateway = re.search(r"lladdr (\S+)", town.inside(victim, "ip", "neighbour", "show", str(_ROUTER)))
        assert gateway is not None
        (router,) = (path.name for path in Path("/run/netns").glob("mooring-r-*"))
        street = Street(
            _end(town, attacker),
            _end(town, victim),
            End(gateway[1], _ROUTER),
            OUTSIDE_ADDRESS,
            guest_namespace(attacker),
            guest_namespace(victim),
            router,
            OUTSIDE,
        )
        tries = dict(enumerate(attempts(street), 1))
        with Watch((street.victims_place, street.routers_place, street.place_beyond)) as watch:
            for number, each in tries.items():
                send(street.attackers_place, [each.forged])
                eventually(lambda number=number, each=each: number in watch.seen(each.places[0]))  # type: ignore[misc]
        # The router sends on what has the addresses of a guest, whoever sent it: but no tagged frame, and nothing to itself.
        assert watch.seen(OUTSIDE) == {1, 2, 3}
