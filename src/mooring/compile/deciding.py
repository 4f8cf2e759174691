"""What the static rules decide about a packet, and by which facts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import assert_never

from mooring.compile.facts import Atom, Fact, HostState, Key, Place, Row, Span
from mooring.compile.moments import Moment, NotModelledError
from mooring.compile.rules import (
    CHAINS,
    Chain,
    Dispatch,
    Field,
    Match,
    Rule,
    Selection,
    Set,
    Translate,
    Verb,
    Verdict,
    Write,
    group_chain,
)
from mooring.compile.tables import GROUP
from mooring.model.nouns import AddressRange

_NUMBERS = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Elements:
    """The sets and maps of one place.  `ranges` are the rows of those that hold prefixes or spans, gathered once."""

    state: HostState
    place: Place
    ranges: Mapping[Set, Sequence[Row]]

    def find(self, where: Set, row: Row) -> Fact | None:
        """Look an element up: exactly, or by containment in a set of prefixes or spans."""
        if not has_ranges(where):
            return self._at(where, row)
        sought = (*where.lead, *row)
        for candidate in self.ranges.get(where, ()):
            if all(_covers(part, each) for part, each in zip(candidate, sought, strict=True)):
                key = Key(where.table, self.place, candidate)
                return Fact(key, self.state[key])
        return None

    def _at(self, where: Set, row: Row) -> Fact | None:
        key = self.key(where, row)
        value = self.state.get(key)
        return None if value is None else Fact(key, value)

    def key(self, where: Set, row: Row) -> Key:
        """Return the name of an element, whether it is there or not."""
        return Key(where.table, self.place, (*where.lead, *row))


def has_ranges(where: Set) -> bool:
    """Say whether elements of a set stand for more than one thing."""
    return not {IPv4Network, Span, AddressRange}.isdisjoint(where.table.key)


def _covers(part: Atom, sought: Atom) -> bool:
    if isinstance(part, IPv4Network | AddressRange) and isinstance(sought, IPv4Address):
        return sought in part
    if isinstance(part, IPv6Network) and isinstance(sought, IPv6Address):
        return sought in part
    if isinstance(part, Span) and isinstance(sought, int):
        return part.first <= sought <= part.last
    return part == sought


@dataclass(frozen=True, slots=True)
class Passed:
    """A rule that a packet met on its way to the one that decided, and the facts that it went by."""

    chain: str
    rule: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a chain did: which rule of which chain, by which facts, and without which.

    `rule` is empty where the chain came to its end.  The last of `facts` is the map's element where the rule translates.  `way` are the rules
    that went by facts before that one.  `mark` and `flow_mark` are what is written on the packet and on its flow by then.
    """

    chain: str
    verb: Verb
    rule: str = ""
    facts: tuple[Fact, ...] = ()
    missing: tuple[Key, ...] = ()
    way: tuple[Passed, ...] = ()
    mark: int = 0
    flow_mark: int = 0


def decide(chain: Chain, moment: Moment, elements: Elements) -> Decision:
    """Walk a packet through a chain that the kernel enters.

    Raises:
        NotModelledError: a rule looks at something that the packet's description leaves open.
    """
    walk = _Walk(elements, moment, chain.name)
    decision = walk.through(chain)
    return decision or walk.decision(walk.last, chain.policy, "", walk.spared)


def _is_among(words: frozenset[str], row: Row) -> bool:
    """Say whether what a packet has is one of a rule's words, which may be a range of numbers or a prefix."""
    text = " . ".join(map(str, row))
    if len(row) > 1:
        return text in words
    return not words.isdisjoint(text.split()) or any(_is_in(word, text) for word in words if word[:1].isalnum())


def _is_in(word: str, text: str) -> bool:
    if (numbers := _NUMBERS.fullmatch(word)) is not None:
        return text.isdigit() and int(numbers[1]) <= int(text) <= int(numbers[2])
    return "/" in word and ":" in text and IPv6Address(text) in IPv6Network(word)


@dataclass(slots=True)
class _Walk:
    """A packet in a chain that the kernel enters, and in those that it leads to; `last` is the one that it was in last."""

    elements: Elements
    moment: Moment
    last: str
    spared: list[Fact] = field(default_factory=list[Fact])
    """What kept rules of the form "not in the set: drop" from matching."""
    missing: list[Key] = field(default_factory=list[Key])
    way: list[Passed] = field(default_factory=list[Passed])

    def decision(self, chain: str, verb: Verb, rule: str, facts: list[Fact]) -> Decision:
        """Return what comes of all this."""
        marks = self.moment.mark, self.moment.flow_mark
        return Decision(chain, verb, rule, tuple(facts), tuple(self.missing), tuple(self.way), *marks)

    def through(self, chain: Chain) -> Decision | None:
        """Go through a chain; None says that the packet goes on in the one that led here, if there is one."""
        self.last = chain.name
        for rule in chain.rules:
            facts: list[Fact] = []
            verdict = self._rule(rule, facts)
            if verdict is not None and verdict.verb not in {Verb.GOTO, Verb.JUMP, Verb.RETURN}:
                return self.decision(chain.name, verdict.verb, rule.text, facts)
            if facts:
                self.way.append(Passed(chain.name, rule.text, tuple(facts)))
            if verdict is None:
                continue
            if verdict.verb is Verb.RETURN:
                return None
            decision = self.through(self._named(chain.family, verdict.chain))
            if decision is not None or verdict.verb is Verb.GOTO:
                return decision
        return None

    def _named(self, family: str, name: str) -> Chain:
        own = re.fullmatch(r"g_(\d+)_(in|out)", name)
        if own is None:
            return CHAINS[f"{family} {name}"]
        value = self.elements.state[Key(GROUP, self.elements.place, (int(own[1]),))]
        if len(value) != len(GROUP.value):
            raise NotModelledError(f"security group {own[1]} is {' '.join(map(str, value))}")
        return group_chain(int(own[1]), own[2], str(value[0 if own[2] == "in" else 1]))

    def _rule(self, rule: Rule, facts: list[Fact]) -> Verdict | None:
        """Do what a rule says, as far as it holds; what it went by is added to `facts`."""
        for part in rule.parts:
            match part:
                case Match():
                    if not self._holds(part, facts):
                        self.spared += facts
                        facts.clear()
                        return None
                case Write():
                    if not self._write(part, facts):
                        return None
                case Translate():
                    found = self._look_up(part.source, part.selection, facts)
                    return None if found is None else Verdict(part.verb)
                case Dispatch():
                    return self._dispatch(part, facts)
                case Verdict():
                    return part
                case _:
                    assert_never(part)
        return None

    def _look_up(self, where: Set, selection: Selection, facts: list[Fact]) -> Fact | None:
        row = selection.of(self.moment)
        found = None if row is None else self.elements.find(where, row)
        if found is not None:
            facts.append(found)
        elif row is not None:
            self.missing.append(self.elements.key(where, row))
        return found

    def _holds(self, match: Match, facts: list[Fact]) -> bool:
        if isinstance(match.among, Set):
            row = match.selection.of(self.moment)
            return (
                row is not None
                and (self._look_up(match.among, match.selection, facts) is not None) is not match.negated
            )
        if not match.among:
            return False  # what the kernel alone knows: never so, as far as facts tell
        row = match.selection.of(self.moment)
        if row is None:
            return False
        return _is_among(match.among, row) is not match.negated

    def _write(self, part: Write, facts: list[Fact]) -> bool:
        number: Atom = part.number
        if part.source is not None:
            found = self._look_up(part.source, part.selection, facts)
            if found is None:
                return False
            number = found.value[0]
        elif part.selection.names:
            row = part.selection.of(self.moment)
            if row is None:
                return False
            number = row[0]
        if not isinstance(number, int):
            raise TypeError(f"a packet takes numbers only, not {number}")
        match part.field:
            case Field.MARK:
                self.moment = replace(self.moment, mark=number)
            case Field.PRIORITY:
                self.moment = replace(self.moment, priority=number)
            case Field.FLOW_MARK:
                self.moment = replace(self.moment, flow_mark=number)
            case _:
                assert_never(part.field)
        return True

    def _dispatch(self, part: Dispatch, facts: list[Fact]) -> Verdict | None:
        row = part.selection.of(self.moment)
        if row is None:
            return None
        if not part.groups:
            return part.verdicts.get(str(row[0]))
        found = self._look_up(Set(GROUP), part.selection, facts)
        return None if found is None else Verdict(Verb.JUMP, f"g_{row[0]}_{part.groups}")
