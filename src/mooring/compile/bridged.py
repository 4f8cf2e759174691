"""A packet's way over a bridge with filtered ports: as whom its sender may send, and what the security groups of both sides admit.

guest === port: arriving, from_guest --[ forwarded, to_guest; passing, judged, sent4, received4 ]-- port === guest
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mooring.compile import tables
from mooring.compile.atlas import Atlas, fact_at
from mooring.compile.deciding import Decision, decide
from mooring.compile.facts import HOST, Fact, Key, Table
from mooring.compile.filters import HOST_RULESET, NOBODY
from mooring.compile.journey import Address, Event, Flow, Header, Outcome, Step
from mooring.compile.moments import Direction, Moment, NotModelledError
from mooring.compile.naming import Asked, Names, preposition
from mooring.compile.rules import Verb, chains_at
from mooring.model.subjects import Direction as Way

_IN_FORCE = "meta pkttype host ct mark @current accept"
_OWN = {4: tables.OWN4, 6: tables.OWN6}
_OWNS, _MEMBERS = frozenset(_OWN.values()), frozenset({tables.MEMBERS4, tables.MEMBERS6})
_SLOTS = frozenset({*tables.SLOTS4, *tables.SLOTS6})


@dataclass(frozen=True, slots=True)
class Port:
    """A filtered port; its guest has that hardware address."""

    device: str
    mac: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Frame:
    """What a bridge forwards: a packet, its direction in its flow, and whether the host's connection tracking knows that flow."""

    header: Header
    direction: Direction = Direction.ORIGINAL
    is_known: bool = False

    @property
    def original(self) -> Header:
        """The header of the flow's first packet."""
        return self.header if self.direction is Direction.ORIGINAL else self.header.reversed()

    @classmethod
    def of(cls, header: Header, flow: Flow | None) -> "Frame":
        """Return what a packet is on a bridge, that is the first of a flow or belongs to one."""
        if flow is None or not flow.has(header):
            return cls(header)
        return cls(header, Direction.REPLY if flow.is_answer(header) else Direction.ORIGINAL, is_known=True)


@dataclass(frozen=True, slots=True)
class Side:
    """One of a flow's two sides, whose groups are asked."""

    way: Way
    address: Address
    other: Address

    @property
    def suffix(self) -> str:
        """How its groups' chains end."""
        return "out" if self.way is Way.EGRESS else "in"

    @property
    def verb(self) -> str:
        """What its guest does."""
        return "send" if self.way is Way.EGRESS else "receive"

    @property
    def tables(self) -> frozenset[Table]:
        """The tables that its groups' rules are in."""
        if self.way is Way.EGRESS:
            return frozenset((tables.OUT4, tables.OUT6, tables.PEERS_OUT))
        return frozenset((tables.IN4, tables.IN6, tables.PEERS_IN))


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of the host, as packets meet it."""

    known: Atlas
    name: str

    @property
    def ports(self) -> Iterator[Port]:
        """Its filtered ports."""
        for fact in self.known.ports.get(self.name, ()):
            if mac := str(fact.value[2]):
                yield Port(str(fact.key.row[0]), mac, fact)

    @property
    def is_judged(self) -> bool:
        """Whether the rules about security groups see what it forwards."""
        return all(self._fact(table) is not None for table in (tables.BRIDGE_FILTER, tables.FILTERED))

    def _fact(self, table: Table) -> Fact | None:
        return fact_at(self.known.state, Key(table, HOST, (self.name,)))

    def holder(self, address: Address) -> tuple[Port, Fact] | None:
        """Return the filtered port that may have an address, and the fact that says so."""
        for port in self.ports:
            key = Key(_OWN[address.version], HOST, (port.device, port.mac, address))
            if not address.is_unspecified and (fact := fact_at(self.known.state, key)):
                return port, fact
        return None

    def port(self, *, device: str = "", mac: str | None = None) -> Port | None:
        """Return the filtered port of this name, or that of this hardware address."""
        return next((port for port in self.ports if port.device == device or port.mac == mac), None)

    def guard(self, port: Port, frame: Frame) -> Step:
        """Hold a guest to what it is: an `ENDED` step says that what it sends is dropped.

        Raises:
            NotModelledError: the host is without its rules, or one of them asks for what the packet's description leaves open.
        """
        header = frame.header
        flow = (header, frame.original, frame.original.reversed(), frame.direction, not frame.is_known)
        moment = Moment(*flow, iif=port.device, smac=port.mac, guests=self._guests())
        decision = self._decide("bridge", "prerouting", moment)
        if decision.verb is Verb.DROP:
            missing = tuple(key for key in decision.missing if key.table in _OWNS)
            why = f"{port.device} may not send as {header.src}" if missing else "no guest may send this"
            return Step(HOST, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing)
        (passed,) = decision.way[:1]
        return Step(
            HOST, passed.chain, Event.PASSED, f"{port.device} may send as {header.src}", passed.rule, passed.facts
        )

    def forward(self, frame: Frame, to: Port | None) -> tuple[Step, ...]:
        """Let a frame through, to a filtered port or to something else; an `ENDED` step says that it is dropped.

        Raises:
            NotModelledError: the host is without its rules, or one of them asks for what the packet's description leaves open.
        """
        flow = (frame.header, frame.original, frame.original.reversed(), frame.direction, not frame.is_known)
        if to is not None:
            decision = self._decide(
                "bridge", "forward", Moment(*flow, oif=to.device, dmac=to.mac, guests=self._guests())
            )
            if decision.verb is Verb.DROP:
                missing = tuple(key for key in decision.missing if key.table in _OWNS)
                why = f"{to.device} has no {frame.header.dst}" if missing else "no guest is sent this"
                return (Step(HOST, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing),)
        if not self.is_judged:
            return ()
        moment = Moment(*flow, iif=self.name, oif=self.name)
        decision = self._decide("inet", "forward", moment)
        names, original = self.known.names, frame.original
        sent = Side(Way.EGRESS, original.src, original.dst)
        received = Side(Way.INGRESS, original.dst, original.src)
        if decision.verb is Verb.DROP:
            return (_refused(decision, received if decision.chain.startswith("received") else sent, original, names),)
        if decision.rule and decision.chain == "judged":
            return (Step(HOST, decision.chain, Event.PASSED, "passes, whatever the groups say", decision.rule),)
        steps = tuple(step for side in (sent, received) for step in _admitted(decision, side, moment, names))
        if frame.is_known and steps:
            facts = tuple(fact for step in steps for fact in step.facts)
            return (Step(HOST, "passing", Event.PASSED, "its flow is admitted already", _IN_FORCE, facts),)
        return steps

    def _guests(self) -> frozenset[str]:
        return frozenset(port.device for port in self.ports)

    def _decide(self, family: str, hook: str, moment: Moment) -> Decision:
        if fact_at(self.known.state, Key(tables.RULESET, HOST, (HOST_RULESET,))) is None:
            raise NotModelledError(f"{HOST} without its {tables.RULESET.name}")
        (chain,) = chains_at(family, hook)
        return decide(chain, moment, self.known.elements)


def remembered(header: Header, flow: Flow | None, *, is_judged: bool) -> Flow | None:
    """Return what connection tracking keeps of a packet that came over a bridge; of one without filtered ports, nothing new."""
    if flow is not None and flow.has(header):
        return replace(flow, answered=flow.answered or flow.is_answer(header))
    return Flow(None, header, header.reversed()) if is_judged else None


def ended(steps: Sequence[Step]) -> Outcome | None:
    """Say whether steps on a bridge end a packet's way."""
    return Outcome.DROPPED if steps and steps[-1].event is Event.ENDED else None


def _groups(decision: Decision, side: Side) -> tuple[Fact, ...]:
    """Return the facts by which a side's groups were asked."""
    found = (fact for passed in decision.way for fact in passed.facts if fact.key.table in _SLOTS)
    return tuple(fact for fact in found if fact.key.row[1] == side.address)


def _admitted(decision: Decision, side: Side, moment: Moment, names: Names) -> Iterator[Step]:
    """Tell which rule of which group let a side's flow be; nothing, where that side is not filtered here."""
    for passed in decision.way:
        own = re.fullmatch(r"g_(\d+)_(in|out)", passed.chain)
        if own is not None and own[2] == side.suffix and passed.facts[-1].key.table in side.tables:
            number = int(own[1])
            slot = next(fact for fact in reversed(_groups(decision, side)) if fact.value == (number,))
            asked = Asked(side.way, moment.number(), moment.goal(), side.other)
            rule = names.rule(number, asked, passed.facts[-1].key.row)
            text = f"{side.address} may {side.verb} this: group {names.group(number)} admits {rule}"
            yield Step(HOST, passed.chain, Event.PASSED, text, passed.rule, (slot, *passed.facts))


def _refused(decision: Decision, side: Side, header: Header, names: Names) -> Step:
    """Tell which groups were asked, and what none of them has."""
    slots = _groups(decision, side)
    asked = {int(str(fact.value[0])) for fact in slots}
    missing = tuple(
        key
        for key in dict.fromkeys(decision.missing)
        if (key.table in side.tables and key.row[0] in asked)
        or (key.table in _MEMBERS and key.row[1] == side.other)
        or (key.table == tables.GROUP and key.row[0] in asked - {NOBODY})
    )
    flow = f"{header.protocol}" if header.dport is None else f"{header.protocol} {header.dport}"
    if asked == {NOBODY}:
        why = "its port is in no group"
    elif not asked:
        why = "no rule lets it pass"
    else:
        groups = f"group{'s' if len(asked) > 1 else ''} {', '.join(map(names.group, sorted(asked)))}"
        why = f"no rule of {groups} admits {flow} {preposition(side.way)} {side.other}"
    text = f"dropped: {side.address} may not {side.verb} this: {why}"
    return Step(HOST, decision.chain, Event.ENDED, text, decision.rule, slots, missing)
