"""In which order a back-end makes a delta true.

Drops first, from guests inwards, so that names and places are free; then puts, from namespaces outwards.  Three exceptions: what is in
both is repaired in place; a place's elements are one transaction of drops and puts; addresses and routes come before they go, for a kernel
that takes the last address off a device takes the device's routes along, and there is no moment without a way.  What a security group has
goes along with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mooring.compile.facts import Delta, Key, Place, Row, Stage
from mooring.compile.tables import GROUP, NAMESPACE, OF_GROUPS, RULESET

_TOGETHER = frozenset({Stage.ADDRESS, Stage.ROUTE, Stage.ELEMENT, Stage.ENTRY})


@dataclass(frozen=True, slots=True)
class Step:
    """Facts of one stage and place; a key in both `drop` and `put` changes its value."""

    stage: Stage
    place: Place
    put: Mapping[Key, Row]
    drop: Mapping[Key, Row]


def steps(delta: Delta) -> Iterator[Step]:
    """Return a delta's steps in order.

    Facts that a dropped namespace, ruleset or security group takes along are left out, but for links and services: they reach out of their
    namespace.
    """
    gone = {key.place for key in delta.drop if key.table == NAMESPACE and key not in delta.put}
    emptied = {key.place for key in delta.drop if key.table == RULESET and key not in delta.put}
    ended = {key for key in delta.drop if key.table == GROUP and key not in delta.put}

    def goes_along(key: Key) -> bool:
        if key.place in gone:
            return key.table.stage not in {Stage.NAMESPACE, Stage.LINK, Stage.SERVICE}
        if key.place in emptied:
            return key.table.stage in {Stage.CHAIN, Stage.ELEMENT}
        return key.table in OF_GROUPS and Key(GROUP, key.place, key.row[:1]) in ended

    first: dict[tuple[Stage, Place], dict[Key, Row]] = {}
    later: dict[tuple[Stage, Place], tuple[dict[Key, Row], dict[Key, Row]]] = {}
    for key, value in delta.drop.items():
        at = (key.table.stage, key.place)
        if key in delta.put:
            later.setdefault(at, ({}, {}))[1][key] = value
        elif not goes_along(key):
            if key.table.stage in _TOGETHER:
                later.setdefault(at, ({}, {}))[1][key] = value
            else:
                first.setdefault(at, {})[key] = value
    for key, value in delta.put.items():
        later.setdefault((key.table.stage, key.place), ({}, {}))[0][key] = value
    for stage, place in sorted(first, key=lambda at: (-at[0], at[1])):
        yield Step(stage, place, {}, first[stage, place])
    for stage, place in sorted(later):
        put, drop = later[stage, place]
        yield Step(stage, place, put, drop)
