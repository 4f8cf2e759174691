"""The static ruleset of a namespace, whole or not at all, and what changes in it: security groups, and the elements of its sets.

How does a restarted agent know that a ruleset is ours, and as it should be?  It is in tables named mooring, and their listing is the
same, to the letter and but for the order of its parts, as that of the ruleset's file freshly loaded into a namespace made for the comparison.  On the host, where others have
tables too, ours are of the families bridge and inet.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from mooring.backends.linux import elements, encoding, epoch, groups
from mooring.backends.linux.nfnetlink import Interrupted
from mooring.backends.linux.nft import NftRefused, as_loaded, blocks, ruleset_text, tables_in
from mooring.backends.linux.space import Snapshot, Space
from mooring.backends.linux.transactions import Message, Rejected
from mooring.compile.facts import HOST, Delta, Key, Place, Refused, Row, fact_line
from mooring.compile.filters import HOST_RULESET
from mooring.compile.tables import OF_GROUPS, RULESET

NAME = "router"
_ATTEMPTS = 5
_ON_THE_HOST = frozenset({"bridge", "inet"})
_NAMED = re.compile(r"\t(?P<kind>[a-z ]+) (?P<name>\S+) \{")
"""The first line of a chain, set or other part of a table."""

_Blocks = Mapping[str, tuple[str, ...]]
"""A table's parts by their first lines."""


def name_of(place: Place) -> str:
    """Return the name of the ruleset that a place has, if it has one."""
    return HOST_RULESET if place == HOST else NAME


def read(space: Space) -> Snapshot:
    """Return ruleset and elements as they are; without a look at either if there was no transaction since the last look.

    Raises:
        OSError: the rules change all the time, or can't be read.
    """
    for _ in range(_ATTEMPTS):
        generation = space.nfnetlink.generation()
        if space.snapshot is not None and space.snapshot.generation == generation:
            return space.snapshot
        try:
            found = _look(space, generation)
        except (Interrupted, NftRefused):
            continue
        if space.nfnetlink.generation() == generation:
            space.snapshot = found
            return found
    raise OSError(f"{space.place}: its rules change faster than they can be read")


def put(space: Space, key: Key, value: Row) -> None:
    """Load a ruleset in place of what there is, with the elements that there are: one transaction, so no packet meets anything else.

    Raises:
        Refused: nothing was changed.
    """
    try:
        name = str(key.row[0])
        text = ruleset_text(name)
    except FileNotFoundError as error:
        raise Refused(f"{fact_line(key, value)}: there is no such ruleset") from error
    more = epoch.beginning_as_text() if name == HOST_RULESET else ""
    for remove in (_leaving_room, _leaving_nothing):
        old = read(space)
        if old.ruleset.get(key) == value:
            return
        try:
            removal, again, of_groups = remove(space, key, old)
            _run(space, key, f"{removal}{text}\n{again}{more}")
            if of_groups:
                _transact(space, key, of_groups)
        except Refused:
            if remove is _leaving_nothing:
                raise


def _leaving_room(space: Space, key: Key, old: Snapshot) -> tuple[str, str, list[Message]]:
    """Return the commands before and after a ruleset's text that put it in the place of other rules in the same tables.

    No packet notices that. When a table goes, the kernel takes away its rules a moment before it takes away its chains: a packet that comes
    between meets nothing but their policy.
    """
    expected = _rest(str(key.row[0]))
    removal: list[str] = []
    anew: set[str] = set()
    for family, listing in _tables(space).items():
        table = f"{family} {elements.TABLE}"
        if family not in expected:
            removal.append(f"delete table {table}\n")
            continue
        rest, _ = groups.apart(blocks(listing))
        named = {head: found for head in rest if (found := _NAMED.fullmatch(head)) is not None}
        removal += [f"flush chain {table} {it['name']}\n" for it in named.values() if it["kind"] == "chain"]
        for head, it in named.items():
            should = expected[family].get(head)
            if should is None or (it["kind"] != "chain" and should != rest[head]):
                removal.append(f"delete {it['kind']} {table} {it['name']}\n")
                anew.add(it["name"])
    lost = {it: known for it, known in old.elements.items() if it.table.name in anew}
    return "".join(removal), elements.loading(str(key.row[0]), lost), []


def _leaving_nothing(space: Space, key: Key, old: Snapshot) -> tuple[str, str, list[Message]]:
    """Return the commands before and after a ruleset's text that put it in the place of whatever tables there are, and the groups.

    Until these are there, too, nobody is let through.
    """
    name = str(key.row[0])
    whole = {it: known for it, known in old.ruleset.items() if it != key and groups.is_whole(known)}
    made = [message for it, known in whole.items() for message in groups.making(groups.group_of(it, known))]
    of_groups = {it: known for it, known in old.elements.items() if it.table in OF_GROUPS}
    rest = {it: known for it, known in old.elements.items() if it.table not in OF_GROUPS}
    return _deletion(space), elements.loading(name, rest), [*made, *encoding.change(name, of_groups, {}).messages]


def drop(space: Space, key: Key) -> None:
    """Delete a ruleset and all its elements.

    Raises:
        Refused: nothing was changed.
    """
    if text := _deletion(space):
        _run(space, key, text)


def change_groups(space: Space, delta: Delta) -> None:
    """Make, change and end security groups as one transaction.

    Raises:
        Refused: nothing was changed.
    """
    old = read(space)
    messages = [*_putting_groups(space, old, delta), *_ending_groups(space, old, delta)]
    if not messages:
        return
    if delta.drop:
        messages += epoch.beginning()
    _transact(space, next(iter((*delta.put, *delta.drop))), messages)
    if space.nfnetlink.generation() == old.generation + 1:
        space.snapshot = _with_groups(old, delta)


def _putting_groups(space: Space, old: Snapshot, delta: Delta) -> Iterator[Message]:
    known, leads = _sample(HOST_RULESET), _leads(space)
    for key, value in delta.put.items():
        group, there = groups.group_of(key, value), old.ruleset.get(key)
        if there is None:
            yield from groups.making(group)
        elif there != value and groups.is_whole(there):
            yield from groups.remaking(group)
        elif there != value:
            yield from groups.repairing(group, old.blocks, known, _leading(leads, group.number))


def _ending_groups(space: Space, old: Snapshot, delta: Delta) -> Iterator[Message]:
    leads = _leads(space)
    for key in delta.drop:
        if key in old.ruleset and key not in delta.put:
            number = groups.number_of(key)
            yield from groups.ending(number, old.blocks, _leading(leads, number))


def _with_groups(old: Snapshot, delta: Delta) -> Snapshot:
    """Return a snapshot after a change of groups, which was the only transaction."""
    known = _sample(HOST_RULESET)
    changed = {groups.number_of(key) for key in (*delta.put, *delta.drop)}
    gone = {groups.number_of(key) for key in delta.drop if key not in delta.put}
    facts = {key: value for key, value in old.ruleset.items() if key not in delta.drop}
    of_groups = {about: lines for about, lines in old.blocks.items() if about[0] not in changed}
    for key, value in delta.put.items():
        facts[key] = value
        of_groups.update(groups.listed(groups.group_of(key, value), known))
    if gone:
        found = {it: value for it, value in old.elements.items() if not (it.table in OF_GROUPS and it.row[0] in gone)}
    else:
        found = old.elements
    return Snapshot(old.generation + 1, facts, found, of_groups)


def change_elements(space: Space, delta: Delta) -> None:
    """Drop and put elements as one transaction.

    Raises:
        Refused: nothing was changed.
    """
    before, seen = space.nfnetlink.generation(), space.snapshot
    space.snapshot = None
    if space.place == HOST:
        _change_on_the_host(space, delta)
    else:
        nft = space.nft
        space.inside.run(lambda: elements.change(nft, NAME, delta.put, delta.drop))
    # The kernel's acknowledgement is the proof that all of it holds.  If ours was the only transaction, we know all elements still.
    if seen is not None and seen.generation == before and space.nfnetlink.generation() == before + 1:
        for key in delta.drop:
            seen.elements.pop(key, None)
        seen.elements.update(delta.put)
        seen.generation = before + 1
        space.snapshot = seen


def _change_on_the_host(space: Space, delta: Delta) -> None:
    found = encoding.change(HOST_RULESET, delta.put, delta.drop)
    more = epoch.beginning() if epoch.ends_with(delta) else []
    try:
        space.writer.run([*found.messages, *more])
    except Rejected as rejected:
        raise Refused(f"{found.culprit(rejected)}: {rejected}") from rejected


def _look(space: Space, generation: int) -> Snapshot:
    name = name_of(space.place)
    tables = _tables(space)
    if not tables:
        return Snapshot(generation, {}, {})
    key = Key(RULESET, space.place, (name,))
    rest, of_groups = _apart(tables)
    facts: dict[Key, Row] = {}
    if rest != _rest(name):
        facts[key] = ("not as it was loaded",)
        found = elements.read(space.nfnetlink, space.place, _usable(tables, name))
    else:
        facts[key] = () if space.place != HOST or epoch.is_one(space.nfnetlink) else ("its epoch is not one",)
        found = elements.read(space.nfnetlink, space.place, elements.sets(name))
    if of_groups and (leads := _leads(space)):
        facts |= groups.read(of_groups, _sample(name), leads)
        whole = [groups.number_of(it) for it, value in facts.items() if it != key and groups.is_whole(value)]
        found |= elements.read_groups(space.nfnetlink, space.place, name, whole)
    return Snapshot(generation, facts, found, of_groups)


def _leads(space: Space) -> dict[str, dict[int, str]]:
    """Return which chain is whose, by the maps that lead to them; of a map that is missing, nothing."""
    found: dict[str, dict[int, str]] = {}
    for name in groups.ENTRIES:
        try:
            entries = space.nfnetlink.verdicts("inet", elements.TABLE, name)
            found[name] = {int.from_bytes(key, sys.byteorder): chain for key, chain in entries}
        except FileNotFoundError:
            found[name] = {}
    return found


def _leading(leads: Mapping[str, Mapping[int, str]], number: int) -> list[str]:
    return [name for name, entries in leads.items() if number in entries]


def _run(space: Space, key: Key, text: str) -> None:
    space.snapshot = None
    nft = space.nft
    try:
        space.inside.run(lambda: nft.run(text))
    except NftRefused as refused:
        raise Refused(f"{fact_line(key, ())}: {refused}") from refused


def _transact(space: Space, key: Key, messages: list[Message]) -> None:
    space.snapshot = None
    try:
        space.writer.run(messages)
    except Rejected as rejected:
        raise Refused(f"{fact_line(key, ())}: {rejected}") from rejected


def _deletion(space: Space) -> str:
    return "".join(f"delete table {family} {elements.TABLE}\n" for family in _tables(space))


def _tables(space: Space) -> dict[str, str]:
    """Return the listings of our tables by family: in a router all of that name, on the host those that we would have there."""
    nft = space.nft
    found = space.inside.run(lambda: nft.tables(elements.TABLE))
    return {family: text for family, text in found.items() if space.place != HOST or family in _ON_THE_HOST}


def _usable(tables: Mapping[str, str], name: str) -> dict[str, elements.NftSet]:
    """Return those of our sets that have the types they should, so that their elements can be read and kept.

    They are known by their listing: of a table with flags, libnftables 1.0.6 writes JSON from memory that is no longer its own.
    """
    found: dict[str, elements.NftSet] = {}
    for family, parts in _rest(name).items():
        there = blocks(tables.get(family, ""))
        for head, lines in parts.items():
            named = _NAMED.fullmatch(head)
            if named is not None and named["kind"] in {"set", "map"} and _type(there.get(head, ())) == _type(lines):
                found[named["name"]] = elements.sets(name)[named["name"]]
    return found


def _type(lines: Iterable[str]) -> str:
    return next((line for line in lines if line.startswith("\t\ttype")), "")


def _apart(tables: Mapping[str, str]) -> tuple[dict[str, _Blocks], dict[tuple[int, str], tuple[str, ...]]]:
    """Split listings by family: what is static, and the blocks of security groups."""
    rest: dict[str, _Blocks] = {}
    of_groups: dict[tuple[int, str], tuple[str, ...]] = {}
    for family, listing in tables.items():
        rest[family], found = groups.apart(blocks(listing))
        of_groups.update(found)
    return rest, of_groups


@cache
def _expected(name: str) -> tuple[dict[str, _Blocks], dict[tuple[int, str], tuple[str, ...]]]:
    more = groups.sample() if name == HOST_RULESET else ()
    return _apart(tables_in(as_loaded(name, more)[0], elements.TABLE))


def _rest(name: str) -> dict[str, _Blocks]:
    return _expected(name)[0]


def _sample(name: str) -> dict[tuple[int, str], tuple[str, ...]]:
    return _expected(name)[1]
