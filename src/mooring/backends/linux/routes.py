"""A router's routes, in the main table and in tables of their own, and the rules that lead to those <-> facts.

How does a restarted agent know that a route or a rule is ours?  In a router's namespace every one is, but for those that the kernel makes
with a namespace or for an address.

An uplink whose next hop is away has, before its default route, one that ends the look into its table: so the next rule is asked.  That is no
fact of any subject but something observed, and the kernel keeps it for the next agent.
"""

import errno
from collections.abc import Mapping
from ipaddress import IPv4Network

from mooring.backends.linux.devices import mistyped, named, there
from mooring.backends.linux.rtnl import LOCAL_TABLE, MAIN_TABLE, THROW, UNICAST, Route, Rule
from mooring.backends.linux.space import Space
from mooring.compile.egress import FIRST_TABLE, NEXT_HOP_AWAY
from mooring.compile.facts import Key, Place, Row
from mooring.compile.tables import AWAY, MARKED, ROUTE, ROUTE_IN, RULE

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_BEHIND = 1
"""The metric of default routes by uplinks, so that there is room before them."""


def read(space: Space, names: Mapping[int, str]) -> dict[Key, Row]:
    """Return routes and rules; `names` are the devices by their number."""
    state: dict[Key, Row] = {}
    routes = space.rtnl.routes()
    ends = {route.table for route in routes if _is_end(route)}
    for route in routes:
        if route.table != LOCAL_TABLE and not _is_end(route):
            key = _route_key(space.place, route)
            odd = key in state or route.kind != UNICAST or route.metric != _metric(route.table, route.prefix)
            state[key] = ("not the one plain route",) if odd else (names.get(route.device, ""), route.hop)
            if route.table in ends and route.prefix == _EVERYWHERE:
                ends.discard(route.table)
                state[Key(AWAY, space.place, (names.get(route.device, ""),))] = (NEXT_HOP_AWAY,)
    for table in ends:
        state[Key(ROUTE_IN, space.place, (table, _EVERYWHERE))] = ("not the one plain route",)
    for rule in space.rtnl.rules():
        key = _rule_key(space.place, rule)
        is_odd = not rule.is_plain or key in state or bool(rule.mask and (rule.device or rule.to.prefixlen))
        state[key] = ("not the one plain rule",) if is_odd else (rule.table,)
    return state


def put(space: Space, key: Key, value: Row) -> None:
    """Make a route or a rule the only one of its kind, without a moment in which there is none.

    Raises:
        Refused: there is no such device, or the next hop can't be reached.
    """
    with named(key, value):
        match key.table.name, key.row, value:
            case ROUTE.name, (IPv4Network() as prefix,), (str() as device, str() as hop):
                _put_route(space, Route(MAIN_TABLE, prefix, _number(space, device), hop, 0, UNICAST))
            case ROUTE_IN.name, (int() as table, IPv4Network() as prefix), (str() as device, str() as hop):
                _put_route(space, Route(table, prefix, _number(space, device), hop, _metric(table, prefix), UNICAST))
            case RULE.name, (int() as priority, str() as device, IPv4Network() as to), (int() as table,):
                _put_rule(space, key, Rule(priority, device, to, table, is_plain=True))
            case MARKED.name, (int() as priority, int() as mark, int() as mask), (int() as table,):
                right = Rule(priority, "", _EVERYWHERE, table, is_plain=True, mark=mark, mask=mask)
                _put_rule(space, key, right)
            case _:
                raise mistyped(key, value)


def drop(space: Space, key: Key) -> None:
    """Take routes or rules away; those that went along with something else are no error.

    Raises:
        Refused: the kernel won't let them go.
    """
    if key.table in {RULE, MARKED}:
        for rule in _rules(space, key):
            with named(key, (), but=errno.ENOENT):
                space.rtnl.delete_rule(rule)
        return
    for route in space.rtnl.routes():
        if route.table != LOCAL_TABLE and _route_key(space.place, route) == key:
            with named(key, (), but=errno.ESRCH):
                space.rtnl.delete_route(route)


def set_away(space: Space, device: str, *, is_away: bool) -> None:
    """Let what is led to an uplink's table of routes find no way out there, or find it again.

    Raises:
        OSError: the kernel won't have it.
    """
    link = space.rtnl.link(device)
    if link is None:
        return
    routes = space.rtnl.routes()
    for route in routes:
        if route.table >= FIRST_TABLE and route.prefix == _EVERYWHERE and route.device == link.index:
            end = Route(route.table, _EVERYWHERE, 0, "", 0, THROW)
            if is_away and end not in routes:
                space.rtnl.replace_route(end)
            elif not is_away and end in routes:
                space.rtnl.delete_route(end)


def _metric(table: int, prefix: IPv4Network) -> int:
    return _BEHIND if table >= FIRST_TABLE and prefix == _EVERYWHERE else 0


def _is_end(route: Route) -> bool:
    return route.kind == THROW and not route.metric and route.table >= FIRST_TABLE and route.prefix == _EVERYWHERE


def _put_route(space: Space, right: Route) -> None:
    space.rtnl.replace_route(right)
    for route in space.rtnl.routes():
        if (route.table, route.prefix) == (right.table, right.prefix) and route != right and not _is_end(route):
            space.rtnl.delete_route(route)


def _put_rule(space: Space, key: Key, right: Rule) -> None:
    found = _rules(space, key)
    if right not in found:
        space.rtnl.add_rule(right)
    for rule in found:
        if rule != right:
            space.rtnl.delete_rule(rule)


def _number(space: Space, device: str) -> int:
    return there(space.rtnl, device).index


def _route_key(place: Place, route: Route) -> Key:
    if route.table == MAIN_TABLE:
        return Key(ROUTE, place, (route.prefix,))
    return Key(ROUTE_IN, place, (route.table, route.prefix))


def _rules(space: Space, key: Key) -> list[Rule]:
    return [rule for rule in space.rtnl.rules() if _rule_key(space.place, rule) == key]


def _rule_key(place: Place, rule: Rule) -> Key:
    if rule.mask:
        return Key(MARKED, place, (rule.priority, rule.mark, rule.mask))
    return Key(RULE, place, (rule.priority, rule.device, rule.to))
