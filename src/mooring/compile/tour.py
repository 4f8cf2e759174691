"""From host to host: a packet and the answer to it followed over several hosts, each of which tells what its own facts say."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mooring.compile import tables
from mooring.compile.atlas import atlas
from mooring.compile.bridged import Bridge
from mooring.compile.facts import HostState
from mooring.compile.journey import Flow, FromGuest, Journey, Onward, Outcome, Packet
from mooring.compile.naming import Names
from mooring.compile.trace import trace
from mooring.model.ids import bridge_name

_MOST_HOSTS = 4
"""From a guest by its router to a guest takes three; more is a circle."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A packet's way through one of the hosts that it comes by."""

    host: str
    journey: Journey


@dataclass(frozen=True, slots=True)
class Tour:
    """A packet's way over hosts, and that of the answer; `back` is empty where nobody could answer, or where that is not known.

    A way ends with `CARRIED` where the host that it leads to is not among those that are known, or can't tell who is there.
    """

    there: tuple[Stretch, ...]
    back: tuple[Stretch, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether the sender gets an answer that it knows for one."""
        if not self.back:
            return False
        last = self.back[-1].journey
        return (
            last.outcome in {Outcome.DELIVERED, Outcome.LEFT, Outcome.CARRIED, Outcome.TAKEN}
            and last.header == self.there[0].journey.packet.header.reversed()
        )

    def __str__(self) -> str:
        """Write the journeys in their order, by host, and the verdict."""
        text, host = list[str](), ""
        for leads, stretches in (("", self.there), ("and back: ", self.back)):
            for at, stretch in enumerate(stretches):
                if stretch.host != host:
                    host = stretch.host
                    text.append(f"on host {host}\n")
                text.append(f"{leads if at == 0 else ''}{stretch.journey}")
        if self.there[-1].journey.outcome is Outcome.CARRIED and not self.back:
            return "".join((*text, "the rest is up to that host\n"))
        return "".join((*text, "answered\n" if self.answered else "no answer\n"))


def tour(states: Mapping[str, HostState], host: str, packet: Packet, names: Names | None = None) -> Tour:
    """Follow a packet that enters one of some hosts, of which the names are given with their facts, and the answer to it.

    `names` tells what people call security groups.
    """
    hosts = _Hosts(states, names)
    there = hosts.follow(host, packet)
    last = there[-1]
    if last.journey.reached is None:
        return Tour(there)
    answer = Packet(last.journey.header.reversed(), last.journey.reached, last.journey.flow)
    return Tour(there, hosts.follow(last.host, answer))


class _Hosts:
    """Some hosts, and what each one's connection tracking remembers."""

    def __init__(self, states: Mapping[str, HostState], names: Names | None) -> None:
        self._states, self._names = states, names
        self._atlases = {host: atlas(state) for host, state in states.items()}
        self._flows: dict[str, Flow] = {}
        self._endpoints = {
            value[1]: host
            for host, state in states.items()
            for key, value in state.items()
            if key.table == tables.VXLAN
        }

    def follow(self, host: str, packet: Packet) -> tuple[Stretch, ...]:
        """Follow one packet from host to host."""
        found: list[Stretch] = []
        for _ in range(_MOST_HOSTS):
            journey = trace(self._states[host], self._told(packet), self._names)
            if found and journey.outcome is Outcome.NOT_MODELLED:
                break  # Of ports without a filter a host has no fact that tells who is there; a tunnel's facts do.
            found.append(Stretch(host, journey))
            if journey.flow is not None:
                self._flows[host] = journey.flow
            onward = journey.onward
            goal = None if onward is None else self._goal(onward, host)
            if journey.outcome is not Outcome.CARRIED or onward is None or goal is None:
                break
            host, packet = goal, Packet(journey.header, FromGuest(onward.network), self._flows.get(goal))
        return tuple(found)

    def _goal(self, onward: Onward, here: str) -> str | None:
        """Return the host that a packet is carried to, if it is one of these."""
        if onward.endpoint is not None:
            return self._endpoints.get(onward.endpoint)
        for host, known in self._atlases.items():
            servers = (server for _, server in known.servers() if server.network == onward.network)
            bridge = Bridge(known, bridge_name(onward.network))
            has = bridge.holder(onward.hop) is not None or any(server.own.ip == onward.hop for server in servers)
            if has and host != here:
                return host
        return None

    def _told(self, packet: Packet) -> Packet:
        """Tell what a guest knows of its router, which may be on any of the hosts."""
        entry = packet.entry
        if not isinstance(entry, FromGuest):
            return packet
        servers = (
            server
            for known in self._atlases.values()
            for _, server in known.servers()
            if server.network == entry.network
        )
        server = next(servers, None)
        return packet if server is None else replace(packet, entry=replace(entry, router=server.own))
