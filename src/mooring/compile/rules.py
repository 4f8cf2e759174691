"""The static rules as they are read out of the `rulebook`.

Only the shapes of rules that are used there are understood: a rule of another shape is an error when this module is imported, never a
guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from mooring.compile.facts import Atom, Row, Stage, Table
from mooring.compile.moments import SELECTORS, Moment
from mooring.compile.rulebook import HOST, ROUTER, group_rules
from mooring.compile.tables import OF_GROUPS, TABLES


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
class Set:
    """A set or map of the ruleset: a table of facts, or that part of one which begins with `lead`."""

    table: Table
    lead: Row = ()


@dataclass(frozen=True, slots=True)
class Match:
    """One condition of a rule: a selection is, or is not, in a set of the ruleset or among some words."""

    selection: Selection
    negated: bool
    among: Set | frozenset[str]


class Field(StrEnum):
    """What a rule can write on a packet, or on its flow."""

    MARK = "meta mark"
    PRIORITY = "meta priority"
    FLOW_MARK = "ct mark"


class Verb(StrEnum):
    """What a rule does with a packet that it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    GOTO = "goto"
    JUMP = "jump"
    RETURN = "return"
    DNAT = "dnat"
    SNAT = "snat"
    HEAR = "arp daddr ether set arp saddr ether arp operation set reply"
    """A question becomes its sender's announcement of itself: it is heeded, and not answered."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule comes to; `chain` is where goto and jump lead."""

    verb: Verb
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """A rule writes a number, or what a map has for a selection, or without a map the selection itself; if there is none, the rule ends."""

    field: Field
    number: int = 0
    selection: Selection = Selection(())
    source: Set | None = None


@dataclass(frozen=True, slots=True)
class Translate:
    """A rule translates by a map; without an element there the rule ends."""

    verb: Verb
    selection: Selection
    source: Set


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A rule finds its verdict by what the packet is; `groups` says that it looks for the chains of a security group, which way."""

    selection: Selection
    verdicts: Mapping[str, Verdict]
    groups: str = ""


Part = Match | Write | Translate | Dispatch | Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its parts are done one after the other, up to the first that does not hold."""

    text: str
    parts: tuple[Part, ...]


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


_NAME = "|".join(sorted(map(re.escape, SELECTORS), key=len, reverse=True))
_SELECTION = rf"(?:{_NAME})(?: \. (?:{_NAME}))*"
_MATCH = re.compile(
    rf"(?P<left>{_SELECTION}) (?P<not>!=? )?(?P<right>@\w+|\{{[^}}]*\}}|\"\w+\"|[\w.:/-]+(?:,[\w-]+)*)(?: |$)"
)
_WRITE = re.compile(
    rf"(?:(?P<field>meta mark|meta priority|ct mark) set (?P<left>{_SELECTION}) map @(?P<map>\w+)"
    r"|meta mark set (?P<copied>ct mark)|(?P<written>meta mark|meta priority) set (?P<number>[\w:]+))(?: |$)"
)
_NAT = re.compile(rf"(?P<verb>[ds]nat) to (?P<left>{_SELECTION}) map @(?P<map>\w+)$")
_DISPATCH = re.compile(rf"(?P<left>{_SELECTION}) vmap (?:@groups_(?P<groups>in|out)|\{{ (?P<words>[^}}]*) \}})$")
_VERDICT = re.compile(r"(?P<verb>accept|drop|return|(?P<go>goto|jump) (?P<chain>\w+))$")
# The kernel's own state, which no fact tells: in which zone a flow is, what it remembers, how many there are.
_REMEMBER = re.compile(r"ct (?:zone set iifname map @zone|mark set meta nfproto map @epoch)$")
_COUNT = re.compile(r"add @flows[46] \{[^}]*\} ")
_OWN = frozenset({"current"})
_HEAD = re.compile(
    r"type (?P<type>\w+) hook (?P<hook>\w+) priority (?P<base>-?\w+)(?: \+ (?P<more>\d+))?; policy (?P<policy>\w+);"
)
_PRIORITIES = {"filter": 0, "dstnat": -100, "srcnat": 100}  # linux/netfilter_ipv4.h
_ELEMENTS = {table.name: table for table in TABLES if table.stage is Stage.ELEMENT and table not in OF_GROUPS}
_OF_GROUPS = {table.name: table for table in OF_GROUPS}
_NEVER: frozenset[str] = frozenset()


def _selection(text: str) -> Selection:
    return Selection(tuple(text.split(" . ")))


def _set(name: str) -> Set:
    """Find a set by its name; each security group has its own."""
    if own := re.fullmatch(r"g_(\d+)_(\w+)", name):
        return Set(_OF_GROUPS[own[2]], (int(own[1]),))
    return Set(_ELEMENTS[name])


def _number(word: str) -> str:
    """Write a word that is a number as Python does."""
    return str(int(word, 16)) if word.startswith("0x") else word


def _words(text: str) -> frozenset[str]:
    return frozenset(_number(word.strip('"')) for word in re.split(r" ?, ?", text.strip("{ }")))


def _write(found: re.Match[str]) -> Write:
    if found["map"]:
        return Write(Field(found["field"]), selection=_selection(found["left"]), source=_set(found["map"]))
    if found["copied"]:
        return Write(Field.MARK, selection=_selection(found["copied"]))
    field = Field(found["written"])
    # A priority is written as none, or as two halves.
    halves = ["0"] if found["number"] == "none" else found["number"].split(":")
    return Write(field, number=int(halves[0], 0) if len(halves) == 1 else int(halves[1], 16))


def _dispatch(found: re.Match[str]) -> Dispatch:
    selection = _selection(found["left"])
    if found["groups"]:
        return Dispatch(selection, {}, found["groups"])
    pairs = (pair.split(" : ") for pair in found["words"].split(", "))
    return Dispatch(selection, {word: _verdict(verdict) for word, verdict in pairs})


def _verdict(text: str) -> Verdict:
    found = _VERDICT.fullmatch(text)
    if found is None:
        raise ValueError(f"not a verdict: {text!r}")
    return Verdict(Verb(found["go"] or found["verb"]), found["chain"] or "")


def _condition(found: re.Match[str]) -> Match:
    right = found["right"]
    among = _words(right) if not right.startswith("@") else _NEVER if right[1:] in _OWN else _set(right[1:])
    return Match(_selection(found["left"]), bool(found["not"]), among)


def read_rule(text: str) -> Rule:
    """Read one rule.

    Raises:
        ValueError: it has a shape that is not known here.
        KeyError: it speaks of a set that is not known here.
    """
    rest, parts = text, list[Part]()
    while rest:
        if rest == Verb.HEAR:
            parts.append(Verdict(Verb.HEAR))
            return Rule(text, tuple(parts))
        if found := _REMEMBER.match(rest):
            pass
        elif found := _COUNT.match(rest):
            parts.append(Match(Selection(()), negated=False, among=_NEVER))
        elif found := _WRITE.match(rest):
            parts.append(_write(found))
        elif found := _NAT.match(rest):
            parts.append(Translate(Verb(found["verb"]), _selection(found["left"]), _set(found["map"])))
        elif found := _DISPATCH.match(rest):
            parts.append(_dispatch(found))
        elif found := _VERDICT.match(rest):
            parts.append(_verdict(found[0]))
        elif found := _MATCH.match(rest):
            parts.append(_condition(found))
        else:
            raise ValueError(f"not a rule of a known shape: {text!r}, from {rest!r}")
        rest = rest[found.end() :]
    if not text or isinstance(parts[-1] if parts else None, Match):
        raise ValueError(f"not a rule of a known shape: {text!r}, which does nothing")
    return Rule(text, tuple(parts))


def read_chain(title: str, lines: tuple[str, ...]) -> Chain:
    """Read a chain, of which `title` is the family and the name.

    Raises:
        ValueError: it, or a rule of it, has a shape that is not known here.
    """
    family, name = title.split()
    if not lines[0].startswith("type "):
        return Chain(family, name, tuple(read_rule(line) for line in lines))
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise ValueError(f"not a chain of a known shape: {lines[0]!r}")
    base = head["base"]
    priority = (_PRIORITIES[base] if base in _PRIORITIES else int(base)) + int(head["more"] or 0)
    rules = tuple(read_rule(line) for line in lines[1:])
    return Chain(family, name, rules, head["hook"], priority, head["type"] == "nat", Verb(head["policy"]))


CHAINS = {title: read_chain(title, lines) for title, lines in {**ROUTER, **HOST}.items()}


def chains_at(family: str, hook: str) -> list[Chain]:
    """Return the chains that the kernel enters at a hook, in its order."""
    found = [chain for chain in CHAINS.values() if (chain.family, chain.hook) == (family, hook)]
    return sorted(found, key=lambda chain: chain.priority)


@lru_cache(4096)
def group_chain(group: int, way: str, remotes: str) -> Chain:
    """Return the chain of a security group for one way, `in` or `out`; `remotes` are the groups that its rules speak of, with commas."""
    return read_chain(f"inet g_{group}_{way}", group_rules(group, way, remotes))
