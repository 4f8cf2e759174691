"""Cards that come to a running guest and go, as packets know them."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.demos.stage import OUTSIDE_ADDRESS
from mooring.guests.netns import IMAGES
from mooring.guests.netns.inits import all_inits
from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance, NewNetwork, NewNic
from tests.journeys.town import Town, eventually, ping_count

pytestmark = pytest.mark.kernel


def test_a_running_guest_gets_a_card_and_loses_it(town: Town) -> None:
    operations = town.operations
    operations.networks.create(town.admin, NewNetwork("second", IPv4Network("10.8.0.0/24")))
    new = NewInstance("there", IMAGES[0].id, "1", (NewNic("second"),))
    there = operations.instances.create(town.demo, new).id
    private = NewInstance("guest", IMAGES[0].id, "1", (NewNic("private"),))
    guest = operations.instances.create(town.demo, private).id
    for each in (there, guest):
        eventually(lambda each=each: operations.instances.get(town.demo, each).state is InstanceState.ACTIVE)  # type: ignore[misc]
        eventually(lambda each=each: str(town.fixed(each)) in town.inside(each, "ip", "-4", "address"))  # type: ignore[misc]

    def pings(target: IPv4Address, *more: str, wait: float = 5.0) -> bool:
        said = town.inside(guest, "ping", "-c", "1", "-W", f"{wait:g}", *more, str(target))
        return ping_count(said).received == 1

    (init,) = [each for each in all_inits() if each.guest == guest]
    for _ in range(2):
        card = operations.attachments.attach(town.demo, guest, NewNic("second"))
        own = card.fixed[0].address
        # The device is there when the call is answered; its address comes by DHCP.
        assert card.mac in town.inside(guest, "ip", "link", "show", "eth1")
        eventually(lambda own=own: f"{own}/24" in town.inside(guest, "ip", "-4", "address", "show", "eth1"))  # type: ignore[misc]
        assert pings(town.fixed(there), "-I", "eth1")
        # Held to what it is, as cards are that were there from the start.
        town.inside(guest, "ip", "address", "add", "10.8.0.250/24", "dev", "eth1")
        assert not pings(town.fixed(there), "-I", "10.8.0.250", wait=0.4)
        assert pings(OUTSIDE_ADDRESS)
        operations.attachments.detach(town.demo, card.id)
        assert "does not exist" in town.inside(guest, "ip", "link", "show", "eth1")
        assert pings(OUTSIDE_ADDRESS)
    # It was the same guest all the time.
    assert init in all_inits()
    assert len(operations.instances.get(town.demo, guest).nics) == 1
