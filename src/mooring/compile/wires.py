"""Between hosts: where a packet goes that a bridge hands to the network's carrier, as far as the facts of this host tell.

bridge ─┬─ tunnel: answers ARP for who is on another host, and knows behind which endpoint
        └─ tag or interface: takes all that is not on this host, and nobody here knows who is there
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mooring.compile import tables
from mooring.compile.atlas import Atlas, fact_at
from mooring.compile.carriers import EVERYBODY
from mooring.compile.facts import HOST, Fact, HostState, Key, Table
from mooring.compile.journey import BROADCAST, Address, Event, FromGuest, Header, Onward, Outcome, Step
from mooring.model.ids import NetworkId, bridge_name, vlan_name, vxlan_name


@dataclass(frozen=True, slots=True)
class Wire:
    """What joins a network's bridge to those of other hosts; `name` is what a person calls it."""

    network: NetworkId
    device: str
    name: str
    fact: Fact
    state: HostState

    @property
    def is_told(self) -> bool:
        """Whether it is a tunnel, which is told who is where."""
        return self.fact.key.table == tables.VXLAN

    def told(self, table: Table, about: str | Address) -> Fact | None:
        """Return what a tunnel was told; other carriers are told nothing."""
        return fact_at(self.state, Key(table, HOST, (self.device, about)))

    def goal(self, mac: str) -> Fact | None:
        """Return where a tunnel sends frames to a hardware address."""
        return self.told(tables.FDB, mac) or self.told(tables.FDB, EVERYBODY)


@dataclass(frozen=True, slots=True)
class Carried:
    """The end of a packet's way on this host that goes on, or stays, on another one.

    `answered_here` says whether an answer would come by this host, `onward` where it goes on, and `is_seen` whether this host sees it
    at all.
    """

    steps: tuple[Step, ...]
    outcome: Outcome
    device: str | None = None
    mac: str | None = None
    answered_here: bool = False
    onward: Onward | None = None
    is_seen: bool = True


def wire(known: Atlas, network: NetworkId) -> Wire | None:
    """Return a network's carrier; None of one that stays on its host."""
    state = known.state
    if tunnel := fact_at(state, Key(tables.VXLAN, HOST, (vxlan_name(network),))):
        return Wire(network, vxlan_name(network), f"VXLAN {tunnel.value[0]}", tunnel, state)
    if tag := fact_at(state, Key(tables.VLAN, HOST, (vlan_name(network),))):
        return Wire(network, vlan_name(network), f"VLAN {tag.value[1]} of {tag.value[0]}", tag, state)
    if trunk := known.trunks.get(bridge_name(network)):
        return Wire(network, str(trunk.key.row[0]), str(trunk.key.row[0]), trunk, state)
    return None


def carried(wire: Wire, src: Address | None, hop: Address) -> Carried | None:
    """Return how a packet goes on whose destination or next hop a tunnel knows on another host; None if it doesn't.

    `src` is who sends it, where that is a guest; None says that it comes from a router here.
    """
    found = wire.told(tables.NEIGHBOUR, hop)
    if found is None:
        return None
    mac = str(found.value[0])
    text = f"the tunnel answers ARP: {hop} is {mac}, on another host"
    asked = Step(HOST, "tunnel", Event.ARP_ANSWERED, text, facts=(found,))
    goal = wire.goal(mac)
    if goal is None:
        lacking = (Key(tables.FDB, HOST, (wire.device, mac)),)
        text = f"dropped: {wire.name} leads to no endpoint for {mac}"
        return Carried((asked, Step(HOST, "tunnel", Event.ENDED, text, missing=lacking)), Outcome.DROPPED)
    endpoint = IPv4Address(str(goal.value[0]))
    onward = Onward(wire.network, hop, endpoint)
    if src is not None and (sender := whereabouts(wire, src)):
        text = f"goes to endpoint {endpoint} by {wire.name}, and not by this host: the sender is on another one"
        last = Step(HOST, "tunnel", Event.ENDED, text, facts=(*sender, found, goal))
        return Carried((last,), Outcome.CARRIED, wire.device, mac, onward=onward, is_seen=False)
    text = f"leaves the host by {wire.name} towards endpoint {endpoint}"
    last = Step(HOST, "tunnel", Event.ENDED, text, facts=(wire.fact, goal))
    return Carried((asked, last), Outcome.CARRIED, wire.device, mac, answered_here=True, onward=onward)


def untold(known: Atlas, wire: Wire, hop: Address) -> Carried | None:
    """Return how a packet goes on that a tag or an interface takes to whoever has an address; None if that may be a guest here.

    It is called for addresses that no filtered port of this host has: if all of its ports are filtered, nobody here has it.
    """
    ports = known.ports.get(bridge_name(wire.network), ())
    if not all(fact.value[2] for fact in ports):
        return None
    text = f"leaves the host by {wire.name}, to whoever has {hop}: no port here has it"
    last = Step(HOST, "carrier", Event.ENDED, text, facts=(wire.fact,))
    return Carried((last,), Outcome.CARRIED, wire.device, answered_here=True, onward=Onward(wire.network, hop))


def whereabouts(wire: Wire | None, address: Address) -> tuple[Fact, ...]:
    """Return the facts that say on which other host an address is, the endpoint's last; none, if it isn't known to be on one."""
    found = None if wire is None else wire.told(tables.NEIGHBOUR, address)
    goal = None if wire is None or found is None else wire.told(tables.FDB, str(found.value[0]))
    return () if found is None or goal is None else (found, goal)


def unserved(known: Atlas, entry: FromGuest, header: Header) -> Carried:
    """Return the way of a guest's packet where no router of this host serves its network, so that its subnet is not known here.

    The first step says to whom the guest sends it.
    """
    network = entry.network
    alone = f"no router of this host serves network {network}"
    bridge, way = fact_at(known.state, Key(tables.BRIDGE, HOST, (bridge_name(network),))), wire(known, network)
    if bridge is None:
        return _unknown(f"{alone}, nor is there a bridge of ours for it")
    if way is None:
        return _unknown(f"{alone}, and it is carried to no other", bridge)
    dst, router = header.dst, entry.router
    everybody, is_routed = dst == BROADCAST, router is not None and dst not in router.network
    hop = router.ip if router is not None and is_routed else dst
    asks = f"sent to the router {hop}" if is_routed else f"the guest asks who has {dst}"
    text = "sent to everybody, the router on another host among them" if everybody else asks
    sent = Step(HOST, "guest", Event.SENT, text)
    if not way.is_told:
        if found := untold(known, way, hop):
            return replace(found, steps=(sent, *found.steps), answered_here=False)
        text = f"whether {dst} is on {bridge.key.row[0]} here or, by {way.name}, on another host: no fact says it"
        return _unknown(text, bridge, way.fact)
    if not everybody and (found := carried(way, header.src, hop)):
        return replace(found, steps=(sent, *found.steps), answered_here=False)
    goal = way.told(tables.FDB, EVERYBODY)
    if goal is None:
        return _unknown(f"{alone}, and {way.name} leads to none", bridge, way.fact)
    endpoint = IPv4Address(str(goal.value[0]))
    leaves = f"leaves the host by {way.name} towards endpoint {endpoint}"
    if everybody:
        last = Step(HOST, "tunnel", Event.ENDED, leaves, facts=(way.fact, goal))
        return Carried((sent, last), Outcome.CARRIED, way.device, onward=Onward(network, hop, endpoint))
    text = f"whether {dst} is for a guest here: no fact tells the network's subnet; what is for the router {leaves}"
    return _unknown(text, bridge, goal)


def _unknown(text: str, *facts: Fact) -> Carried:
    return Carried((Step(HOST, "guest", Event.ENDED, text, facts=facts),), Outcome.NOT_MODELLED)
