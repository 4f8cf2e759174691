"""Why a flow leaves by one uplink and not by another: what the chains that steer it went by, in words."""

from ipaddress import IPv4Address

from mooring.compile import tables
from mooring.compile.atlas import Router
from mooring.compile.deciding import Decision
from mooring.compile.egress import prefix_of, way_of
from mooring.compile.facts import Fact
from mooring.compile.journey import Address, Event, Header, Step


def told(router: Router, header: Header, before: int, decision: Decision) -> Step | None:
    """Tell what steered a packet with this header, whose mark was `before`; None if nothing did."""
    # That ports of the destination are forwarded steers nothing.
    way = [each for each in decision.way if each.facts[-1].key.table != tables.PORTS]
    passed = way[-1] if way else None
    if passed is None:
        if decision.mark in {0, before}:
            return None
        device = router.ways.get(decision.mark, "")
        fact = router.fact(tables.WAYS, device)
        text = f"keeps to {router.names.uplink(device) if device else 'an uplink that is no more'}, as its flow began"
        return Step(router.place, decision.chain, Event.PASSED, text, facts=() if fact is None else (fact,))
    by = {fact.key.table.name: fact for fact in passed.facts}
    if (came := by.get(tables.WAYS.name)) is not None:
        text = f"came by {router.names.uplink(str(came.key.row[0]))}: so will answers leave"
    elif (choice := by.get(tables.CHOICES.name)) is not None:
        text = _chosen(router, header, by[tables.CLASSES.name], choice)
    else:
        text = f"{header.src} prefers nothing towards {header.dst}"
    return Step(router.place, passed.chain, Event.PASSED, text, passed.rule, passed.facts)


def passed_over(router: Router, mark: int) -> Step | None:
    """Tell that the uplink that a mark leads to first is away; None if it isn't."""
    device = router.ways.get(way_of(mark)[0], "")
    fact = router.away.get(device)
    if fact is None:
        return None
    text = f"{router.names.uplink(device)} leads nowhere: {fact.value[0]}"
    return Step(router.place, "routing", Event.PASSED, text, facts=(fact,))


def _chosen(router: Router, header: Header, found: Fact, choice: Fact) -> str:
    match found.value, choice.value, header.dst:
        case (int() as number,), (int() as mark,), IPv4Address() as dst:
            first, fallback = way_of(mark)
            either = [_way(router, header.src, mark, way) for way in (first, fallback) if way]
            prefix = prefix_of(dst, number)
            return f"{prefix} is the longest match of what {header.src} prefers: {', or else '.join(either)}"
        case _:
            return f"{header.src} prefers what is no choice"


def _way(router: Router, private: Address, mark: int, number: int) -> str:
    device = router.ways.get(number)
    if device is None:
        # A router with one uplink has no numbers to tell several by.
        device = next(iter(router.uplinks)) if len(router.uplinks) == 1 and not router.ways else None
    public = None if device is None else router.fact(tables.CHOSEN, private, device, mark)
    if device is None:
        return f"uplink number {number}, which is none of this router's"
    name = router.names.uplink(device)
    return f"{name} as {public.value[0]}" if public else f"{name}, where it has no such address"
