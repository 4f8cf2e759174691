"""The static ruleset of a namespace, whole or not at all, and the elements of its sets.

How does a restarted agent know that a ruleset is ours, and as it should be?  It is in tables named mooring, and their listing is the
same, to the letter, as that of the ruleset's file freshly loaded into a namespace made for the comparison.
"""

from mooring.backends.linux import elements
from mooring.backends.linux.nfnetlink import Interrupted
from mooring.backends.linux.nft import NftRefused, as_loaded, ruleset_text
from mooring.backends.linux.space import Snapshot, Space
from mooring.compile.facts import Delta, Key, Refused, Row, fact_line
from mooring.compile.tables import RULESET

NAME = "router"
_TABLE = "mooring"
_ATTEMPTS = 5


def read(space: Space) -> Snapshot:
    """Return ruleset and elements as they are; without a look at either if there was no transaction since the last look.

    Raises:
        OSError: the rules change all the time, or can't be read.
    """
    for _ in range(_ATTEMPTS):
        generation = space.nfnetlink.generation()
        if space.snapshot is not None and space.snapshot.generation == generation:
            return space.snapshot
        key = Key(RULESET, space.place, (NAME,))
        tables = _ours(space.inside.run(space.nft.rules))
        rulesets: dict[Key, Row] = {}
        try:
            if tables == _ours(as_loaded(NAME)[0]):
                rulesets[key] = ()
                found = elements.read(space.nfnetlink, space.place, elements.sets(NAME))
            elif tables:
                rulesets[key] = ("not as it was loaded",)
                found = elements.read(space.nfnetlink, space.place, _usable(space))
            else:
                found = {}
        except Interrupted:
            continue
        if space.nfnetlink.generation() == generation:
            space.snapshot = Snapshot(generation, rulesets, found)
            return space.snapshot
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
    old = read(space)
    if old.ruleset.get(key) == value:
        return
    _run(space, key, _deletion(space) + text + "\n" + elements.loading(name, old.elements))


def drop(space: Space, key: Key) -> None:
    """Delete a ruleset and all its elements.

    Raises:
        Refused: nothing was changed.
    """
    if text := _deletion(space):
        _run(space, key, text)


def change_elements(space: Space, delta: Delta) -> None:
    """Drop and put elements as one transaction.

    Raises:
        Refused: nothing was changed.
    """
    before, seen = space.nfnetlink.generation(), space.snapshot
    space.snapshot = None
    nft = space.nft
    space.inside.run(lambda: elements.change(nft, NAME, delta.put, delta.drop))
    # The kernel's acknowledgement is the proof that all of it holds.  If ours was the only transaction, we know all elements still.
    if seen is not None and seen.generation == before and space.nfnetlink.generation() == before + 1:
        for key in delta.drop:
            seen.elements.pop(key, None)
        seen.elements.update(delta.put)
        seen.generation = before + 1
        space.snapshot = seen


def _run(space: Space, key: Key, text: str) -> None:
    space.snapshot = None
    nft = space.nft
    try:
        space.inside.run(lambda: nft.run(text))
    except NftRefused as refused:
        raise Refused(f"{fact_line(key, ())}: {refused}") from refused


def _deletion(space: Space) -> str:
    families = _ours(space.inside.run(space.nft.rules))
    return "".join(f"delete table {family} {_TABLE}\n" for family in families)


def _usable(space: Space) -> dict[str, elements.NftSet]:
    """Return those of our sets that have the types they should, so that their elements can be read and kept."""
    there = elements.declared(space.inside.run(space.nft.sets))
    return {name: where for name, where in elements.sets(NAME).items() if there.get(name) == where}


def _ours(listing: str) -> dict[str, str]:
    """Return our tables in a listing, as text by family."""
    tables: dict[str, str] = {}
    family = ""
    for line in listing.splitlines():
        if line.startswith("table "):
            _, of, name, *_ = line.split(" ")
            family = of if name == _TABLE else ""
        if family:
            tables[family] = tables.get(family, "") + line + "\n"
        if line == "}":
            family = ""
    return tables
