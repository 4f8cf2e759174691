"""The chains and sets of security groups <-> facts.

A group is two chains and six sets, all of one shape: only its number, and the other groups that its rules speak of, differ.  A rule is an
element of one of the sets.

How does a restarted agent know that they are ours, and as they should be?  They are in the table named mooring, named by the group's
number; and what the kernel lists is what it lists of a group made for the comparison, but for the numbers.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mooring.backends.linux import transactions
from mooring.backends.linux.transactions import Message
from mooring.compile.facts import HOST, Key, Refused, Row, fact_line
from mooring.compile.tables import GROUP, IN4, IN6, OUT4, OUT6, PEERS_IN, PEERS_OUT

_FAMILY, _TABLE = "inet", "mooring"

SAMPLE, _PEER = 0xFFFFFFF0, 0xFFFFFFF1
"""Numbers that no group has: what the kernel lists of these says what it lists of all."""

_ADMITTED = 0xFFFFFFFF

_BOXES = ("inet_proto", "inet_service")
_PEERS = ("mark", "nf_proto", *_BOXES)
_TYPES = {
    IN4.name: (*_BOXES, "ipv4_addr"),
    IN6.name: (*_BOXES, "ipv6_addr"),
    OUT4.name: (*_BOXES, "ipv4_addr"),
    OUT6.name: (*_BOXES, "ipv6_addr"),
    PEERS_IN.name: _PEERS,
    PEERS_OUT.name: _PEERS,
}
_CHAINS = ("in", "out")
_PARTS = "|".join((*_TYPES, *_CHAINS))

_NAMED = re.compile(rf"\t(?:chain|set) g_(\d+)_({_PARTS}) \{{")
_REMOTE = re.compile(r"\t\tmeta mark set (0x[0-9a-f]{8})")

Blocks = Mapping[tuple[int, str], tuple[str, ...]]
"""Of groups' chains and sets, by number and what they are, the lines that the kernel lists."""

ENTRIES = ("groups_in", "groups_out")
"""The maps that lead to groups' chains."""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group's shape: the numbers of the groups that its ingress and its egress rules speak of, in order."""

    number: int
    inward: tuple[int, ...]
    outward: tuple[int, ...]

    @property
    def remotes(self) -> Mapping[str, tuple[int, ...]]:
        """By chain."""
        return {"in": self.inward, "out": self.outward}


def group_set(number: int, table: str) -> str:
    """Return the name of a group's own set."""
    return f"g_{number}_{table}"


def group_of(key: Key, value: Row) -> Group:
    """Return what a fact asks for.

    Raises:
        Refused: it is none that a compiler makes.
    """
    match key.row, value:
        case (int() as number,), (str() as inward, str() as outward) if 0 < number < SAMPLE:
            try:
                return Group(number, _numbers(inward), _numbers(outward))
            except ValueError:
                pass
        case _:
            pass
    raise Refused(f"{fact_line(key, value)}: not a security group")


def number_of(key: Key) -> int:
    """Return whose fact it is, of a table of groups.

    Raises:
        Refused: it is none that a compiler makes.
    """
    match key.row:
        case (int() as number, *_):
            return number
        case _:
            raise Refused(f"{fact_line(key, ())}: of no security group")


def sample() -> tuple[Message, ...]:
    """Return what makes the group by which others are known."""
    return tuple(making(Group(SAMPLE, (_PEER,), (_PEER,))))


def making(group: Group) -> Iterator[Message]:
    """Make a group's chains and sets where there are none."""
    for name, types in _TYPES.items():
        yield transactions.put_set(_FAMILY, _TABLE, group_set(group.number, name), types)
    for way in _CHAINS:
        yield transactions.put_chain(_FAMILY, _TABLE, _chain(group.number, way))
    yield from _rules(group)
    for way in _CHAINS:
        lead = transactions.leading(_key(group.number), _chain(group.number, way))
        yield from transactions.put_elements((_FAMILY, _TABLE, f"groups_{way}"), [lead])


def remaking(group: Group) -> Iterator[Message]:
    """Put other rules into a group's chains."""
    for way in _CHAINS:
        yield transactions.drop_rules(_FAMILY, _TABLE, _chain(group.number, way))
    yield from _rules(group)


def repairing(group: Group, there: Blocks, known: Blocks, leads: Iterable[str]) -> Iterator[Message]:
    """Make a group right of which something is there; sets that are as they should be keep what is in them.

    `leads` are the maps that lead to it.
    """
    expected = listed(group, known)
    wrong = {name for name in _TYPES if there.get((group.number, name)) != expected[group.number, name]}
    # What a rule speaks of can't go before the rule.
    chains = {name for name in _CHAINS if (group.number, name) in there}
    gone = {name for name in wrong if (group.number, name) in there}
    yield from _clearing(group.number, leads, chains)
    for name in gone:
        yield transactions.drop_set(_FAMILY, _TABLE, group_set(group.number, name))
    yield from making(group)


def ending(number: int, there: Blocks, leads: Iterable[str]) -> Iterator[Message]:
    """Take away what is there of a group; `leads` are the maps that lead to it."""
    names = [name for of, name in there if of == number]
    chains = [name for name in names if name in _CHAINS]
    yield from _clearing(number, leads, chains)
    for name in chains:
        yield transactions.drop_chain(_FAMILY, _TABLE, _chain(number, name))
    for name in names:
        if name not in _CHAINS:
            yield transactions.drop_set(_FAMILY, _TABLE, group_set(number, name))


def apart(blocks: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], Blocks]:
    """Split a table's blocks by their first lines: what is not of any group, and the groups'."""
    rest: dict[str, tuple[str, ...]] = {}
    found: dict[tuple[int, str], tuple[str, ...]] = {}
    for head, lines in blocks.items():
        if (named := _NAMED.fullmatch(head)) is not None:
            found[int(named[1]), named[2]] = lines
        else:
            rest[head] = lines
    return rest, found


def read(there: Blocks, known: Blocks, leads: Mapping[str, Mapping[int, str]]) -> dict[Key, Row]:
    """Return the facts of the groups that are there; `known` is what the kernel lists of the sample, `leads` to what each map leads."""
    numbers = {number for number, _ in there} | {number for entries in leads.values() for number in entries}
    state: dict[Key, Row] = {}
    for number in numbers:
        group = Group(number, *(_remotes(there.get((number, way), ())) for way in _CHAINS))
        is_right = all(there.get(key) == lines for key, lines in listed(group, known).items())
        is_found = all(leads[f"groups_{way}"].get(number) == f"g_{number}_{way}" for way in _CHAINS)
        value: Row = ("not as it was made",)
        if is_right and is_found:
            value = tuple(",".join(map(str, remotes)) for remotes in (group.inward, group.outward))
        state[Key(GROUP, HOST, (number,))] = value
    return state


def is_whole(value: Row | None) -> bool:
    """Say whether what was read of a group is a group."""
    return value is not None and len(value) == len(GROUP.value)


def listed(group: Group, known: Blocks) -> dict[tuple[int, str], tuple[str, ...]]:
    """Return what the kernel lists of a group that is as it should be."""
    return {(group.number, name): _listed(group, name, known) for name in (*_TYPES, *_CHAINS)}


def _clearing(number: int, leads: Iterable[str], chains: Iterable[str]) -> Iterator[Message]:
    for entry in leads:
        yield from transactions.drop_elements((_FAMILY, _TABLE, entry), [transactions.element(_key(number))])
    for name in chains:
        yield transactions.drop_rules(_FAMILY, _TABLE, _chain(number, name))


def _rules(group: Group) -> Iterator[Message]:
    """Make the rules of both chains: in nft's words those of `group_rules` in compile/rulebook.py, where tests compare them.

    A flow without ports has port 0, and rules about its protocol have every port.
    """
    for way, side in (("in", "saddr"), ("out", "daddr")):
        chain = (_FAMILY, _TABLE, _chain(group.number, way))
        for family, address in (("4", f"ip {side}"), ("6", f"ip6 {side}")):
            boxes = [transactions.load_flow(what, at) for at, what in enumerate(("protocol", "proto-dst", address))]
            own = transactions.find(group_set(group.number, way + family))
            yield transactions.add_rule(*chain, [*boxes, own, *_admitting()])
        peers = transactions.find(group_set(group.number, (PEERS_IN if way == "in" else PEERS_OUT).name))
        for remote in group.remotes[way]:
            yield transactions.add_rule(*chain, [transactions.write_mark(remote)])
            for family, address in (("4", f"ip {side}"), ("6", f"ip6 {side}")):
                member = [transactions.load_mark(0), transactions.load_flow(address, 1)]
                flow = [
                    transactions.load_mark(0),
                    transactions.in_network_order(0),
                    transactions.load_family(1),
                    transactions.load_flow("protocol", 2),
                    transactions.load_flow("proto-dst", 3),
                ]
                found = transactions.find(f"members{family}")
                yield transactions.add_rule(*chain, [*member, found, *flow, peers, *_admitting()])


def _admitting() -> tuple[bytes, ...]:
    return transactions.write_mark(_ADMITTED), transactions.leave()


def _chain(number: int, way: str) -> str:
    return f"g_{number}_{way}"


def _key(number: int) -> bytes:
    return struct.pack("=I", number)


def _listed(group: Group, name: str, known: Blocks) -> tuple[str, ...]:
    lines = [line.replace(f"g_{SAMPLE}_", f"g_{group.number}_") for line in known[SAMPLE, name]]
    if name not in _CHAINS:
        return tuple(lines)
    first = next(at for at, line in enumerate(lines) if _REMOTE.fullmatch(line))
    of_remote, end = lines[first:-1], lines[-1]
    return (
        *lines[:first],
        *(line.replace(f"{_PEER:#010x}", f"{it:#010x}") for it in group.remotes[name] for line in of_remote),
        end,
    )


def _remotes(lines: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(found[1], 16) for line in lines if (found := _REMOTE.fullmatch(line)) is not None)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)
