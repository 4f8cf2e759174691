"""What a guest sends that would be its neighbour, its router or somebody's DHCP server, if that came to anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address

from mooring.demos.frames import End, Watch, claim, datagram, offer, question, send
from mooring.demos.story import Story

_TAG = 7
_HONEST = 1000
_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Street:
    """Who is on the attacker's bridge and behind it, and the places where one can look what comes to them."""

    attacker: End
    victim: End
    router: End
    beyond: IPv4Address
    attackers_place: str
    victims_place: str
    routers_place: str
    place_beyond: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A forged frame, and where one in order comes to by the same way, which is sent right after it."""

    what: str
    forged: bytes
    honest: bytes
    places: Sequence[str]


def attempts(street: Street) -> Sequence[Attempt]:
    """Return all that is tried; frame 1 is forged, frame 1001 the one in order after it, and so on."""
    me, victim, router, beyond = street.attacker, street.victim, street.router, street.beyond
    on_bridge, upstream = (street.victims_place, street.routers_place), (street.routers_place, street.place_beyond)
    packets = {
        "a datagram from its neighbour's address": datagram(1, End(me.mac, victim.address), router.mac, beyond),
        "the same from its neighbour's hardware address, too": datagram(2, victim, router.mac, beyond),
        "one from that, and its own address": datagram(3, End(victim.mac, me.address), router.mac, beyond),
        "one of its own in a VLAN": datagram(4, me, router.mac, beyond, _TAG),
    }
    shouts = {
        "ARP that its neighbour's address is its own": claim(5, me.mac, End(me.mac, victim.address)),
        "ARP that the router's address is its own": claim(6, me.mac, End(me.mac, router.address)),
        "the same, from the router's hardware address": claim(7, router.mac, End(me.mac, router.address)),
        "an offer of a DHCP server": offer(8, me),
    }
    made: list[Attempt] = []
    for number, (what, forged) in enumerate(packets.items(), 1):
        made.append(Attempt(what, forged, datagram(_HONEST + number, me, router.mac, beyond), upstream))
    for number, (what, forged) in enumerate(shouts.items(), 1 + len(packets)):
        made.append(Attempt(what, forged, question(_HONEST + number, me, victim.address), on_bridge))
    return made


def try_all(story: Story, street: Street) -> None:
    """Send all of it, and state that nothing came to anybody but what is in order."""
    tries = attempts(street)
    places = (street.victims_place, street.routers_place, street.place_beyond)
    with Watch(places) as watch:
        send(street.attackers_place, [frame for each in tries for frame in (each.forged, each.honest)])
        honest = partial(_came, watch, tries)
        story.eventually(
            "after each one it sends a frame that is in order, and all of those come to where they should",
            honest,
            _WAIT,
        )
        for number, each in enumerate(tries, 1):
            came = [place for place in places if number in watch.seen(place)]
            story.holds(f"{each.what}: came to nobody", not came)


def _came(watch: Watch, tries: Sequence[Attempt]) -> bool:
    return all(_HONEST + number in watch.seen(place) for number, each in enumerate(tries, 1) for place in each.places)


def owner_sends(story: Story, street: Street) -> None:
    """State that the very bytes that an impostor can't send come through from the guest whose addresses they have."""
    number = 2
    forged = attempts(street)[number - 1].forged
    with Watch((street.place_beyond,)) as watch:
        send(street.victims_place, [forged])
        story.eventually(
            "the very bytes of the second, sent by the neighbour itself, do come to the outside",
            lambda: number in watch.seen(street.place_beyond),
            _WAIT,
        )
