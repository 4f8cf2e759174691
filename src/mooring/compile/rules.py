"""What the static rules decide about a packet.

Only the shapes of rules that are used in `rulebook` are understood: a rule of another shape is an error when this module is imported,
never a guess.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from mooring.compile.facts import Atom, Fact, HostState, Key, Place, Row, Stage, Table
from mooring.compile.moments import SELECTORS, Moment
from mooring.compile.rulebook import ROUTER
from mooring.compile.tables import TABLES


@dataclass(frozen=True, slots=True)
class Selection:
    """One or more selectors in a row, as `ip saddr . oifname`."""

    names: tuple[str, ...]

    def of(self, moment: Moment) -> Row | None:
        """Return what a packet has there, or None if it lacks any of it."""
        values: list[Atom] = []
        for name in self.names:
            value = SELECTORS[name](moment)
            if value is None:
                return None
            values.append(value)
        return tuple(values)


@dataclass(frozen=True, slots=True)
class Match:
    """One condition of a rule: a selection is, or is not, in a set of the ruleset or among some words."""

    selection: Selection
    negated: bool
    table: Table | None
    words: frozenset[str]


class Verb(StrEnum):
    """What a rule does with a packet that it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    GOTO = "goto"
    DNAT = "dnat"
    SNAT = "snat"
    HEAR = "arp daddr ether set arp saddr ether arp operation set reply"
    """A question becomes its sender's announcement of itself: it is heeded, and not answered."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: conditions that must all hold, and what then happens."""

    text: str
    matches: tuple[Match, ...]
    verb: Verb
    chain: str = ""
    selection: Selection = Selection(())
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; those with a hook are entered by the kernel, in the order of `priority`."""

    family: str
    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = 0
    nat: bool = False
    policy: Verb = Verb.ACCEPT


_NAME = "|".join(sorted(SELECTORS, key=len, reverse=True))
_SELECTION = rf"(?:{_NAME})(?: \. (?:{_NAME}))*"
_MATCH = re.compile(
    rf"(?P<left>{_SELECTION}) (?P<not>!=? )?(?P<right>@\w+|\{{[^}}]*\}}|\"\w+\"|[\w-]+(?:,[\w-]+)*)(?: |$)"
)
_NAT = re.compile(rf"(?P<verb>[ds]nat) to (?P<left>{_SELECTION}) map @(?P<map>\w+)")
_HEAD = re.compile(
    r"type (?P<type>\w+) hook (?P<hook>\w+) priority (?P<base>\w+)(?: \+ (?P<more>\d+))?; policy (?P<policy>\w+);"
)
_PRIORITIES = {"0": 0, "dstnat": -100, "srcnat": 100}  # linux/netfilter_ipv4.h
_ELEMENTS = {table.name: table for table in TABLES if table.stage is Stage.ELEMENT}


def _selection(text: str) -> Selection:
    return Selection(tuple(text.split(" . ")))


def _rule(text: str) -> Rule:
    """Read one rule.

    Raises:
        ValueError: it has a shape that is not known here.
    """
    rest, matches = text, list[Match]()
    while found := _MATCH.match(rest):
        right = found["right"]
        table = _ELEMENTS[right[1:]] if right.startswith("@") else None
        words: frozenset[str] = frozenset() if table else frozenset(re.split(r"[,\s]+", right.strip('{ "}')))
        matches.append(Match(_selection(found["left"]), bool(found["not"]), table, words))
        rest = rest[found.end() :]
    if rest in {Verb.ACCEPT, Verb.DROP, Verb.HEAR}:
        return Rule(text, tuple(matches), Verb(rest))
    if rest.startswith("goto "):
        return Rule(text, tuple(matches), Verb.GOTO, chain=rest.removeprefix("goto "))
    if nat := _NAT.fullmatch(rest):
        return Rule(
            text, tuple(matches), Verb(nat["verb"]), selection=_selection(nat["left"]), table=_ELEMENTS[nat["map"]]
        )
    raise ValueError(f"not a rule of a known shape: {text!r}, from {rest!r}")


def _chain(title: str, lines: tuple[str, ...]) -> Chain:
    family, name = title.split()
    if not lines[0].startswith("type "):
        return Chain(family, name, tuple(_rule(line) for line in lines))
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise ValueError(f"not a chain of a known shape: {lines[0]!r}")
    priority = _PRIORITIES[head["base"]] + int(head["more"] or 0)
    rules = tuple(_rule(line) for line in lines[1:])
    return Chain(family, name, rules, head["hook"], priority, head["type"] == "nat", Verb(head["policy"]))


_CHAINS = {title: _chain(title, lines) for title, lines in ROUTER.items()}


def chains_at(family: str, hook: str) -> list[Chain]:
    """Return the chains that the kernel enters at a hook, in its order."""
    found = [chain for chain in _CHAINS.values() if (chain.family, chain.hook) == (family, hook)]
    return sorted(found, key=lambda chain: chain.priority)


@dataclass(frozen=True, slots=True)
class Elements:
    """The sets and maps of one router.  `prefixes` are the rows of those that hold prefixes, gathered once."""

    state: HostState
    place: Place
    prefixes: Mapping[Table, Sequence[Row]]

    def find(self, table: Table, row: Row) -> Fact | None:
        """Look an element up: exactly, or by containment in a set of prefixes."""
        if IPv4Network in table.key:
            for candidate in self.prefixes.get(table, ()):
                if all(_covers(part, sought) for part, sought in zip(candidate, row, strict=True)):
                    return Fact(Key(table, self.place, candidate), self.state[Key(table, self.place, candidate)])
            return None
        key = Key(table, self.place, row)
        value = self.state.get(key)
        return None if value is None else Fact(key, value)


def _covers(part: Atom, sought: Atom) -> bool:
    if isinstance(part, IPv4Network) and isinstance(sought, IPv4Address):
        return sought in part
    return part == sought


@dataclass(frozen=True, slots=True)
class Decision:
    """What a chain did: which rule of which chain, by which facts, and without which.

    `rule` is empty where the chain came to its end.  The last of `facts` is the map's element where the rule translates.
    """

    chain: str
    verb: Verb
    rule: str = ""
    facts: tuple[Fact, ...] = ()
    missing: tuple[Key, ...] = ()


def decide(chain: Chain, moment: Moment, elements: Elements) -> Decision:
    """Walk a packet through a chain.

    Raises:
        NotModelledError: a rule looks at something that the packet's description leaves open.
    """
    spared: list[Fact] = []  # what kept rules of the form "not in the set: drop" from matching
    missing: list[Key] = []
    for rule in chain.rules:
        facts: list[Fact] = []
        if not all(_holds(match, moment, elements, facts, missing) for match in rule.matches):
            spared += facts
            continue
        if rule.verb is Verb.GOTO:
            inner = decide(_CHAINS[f"{chain.family} {rule.chain}"], moment, elements)
            verb = inner.verb if inner.rule else chain.policy
            return Decision(inner.chain, verb, inner.rule, inner.facts, (*missing, *inner.missing))
        if rule.table is not None:
            row = rule.selection.of(moment)
            found = None if row is None else elements.find(rule.table, row)
            if found is None:
                # No element: the kernel leaves the rule and tries the next.
                missing += [] if row is None else [Key(rule.table, elements.place, row)]
                continue
            facts.append(found)
        return Decision(chain.name, rule.verb, rule.text, tuple(facts), tuple(missing))
    return Decision(chain.name, chain.policy, "", tuple(spared), tuple(missing))


def _holds(match: Match, moment: Moment, elements: Elements, facts: list[Fact], missing: list[Key]) -> bool:
    row = match.selection.of(moment)
    if row is None:
        return False
    if match.table is None:
        return bool(match.words.intersection(str(row[0]).split())) is not match.negated
    found = elements.find(match.table, row)
    if found is None:
        missing.append(Key(match.table, elements.place, row))
    else:
        facts.append(found)
    return (found is not None) is not match.negated
