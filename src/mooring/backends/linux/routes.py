"""A router's routes, in the main table and in tables of their own, and the rules that lead to those <-> facts.

How does a restarted agent know that a route or a rule is ours?  In a router's namespace every one is, but for those that the kernel makes
with a namespace or for an address.
"""

import errno
from collections.abc import Mapping
from ipaddress import IPv4Network

from mooring.backends.linux.devices import mistyped, named, there
from mooring.backends.linux.rtnl import LOCAL_TABLE, MAIN_TABLE, UNICAST, Route, Rule
from mooring.backends.linux.space import Space
from mooring.compile.facts import Key, Place, Row
from mooring.compile.tables import ROUTE, ROUTE_IN, RULE


def read(space: Space, names: Mapping[int, str]) -> dict[Key, Row]:
    """Return routes and rules; `names` are the devices by their number."""
    state: dict[Key, Row] = {}
    for route in space.rtnl.routes():
        if route.table != LOCAL_TABLE:
            key = _route_key(space.place, route)
            odd = key in state or route.kind != UNICAST or route.metric
            state[key] = ("not the one plain route",) if odd else (names.get(route.device, ""), route.hop)
    for rule in space.rtnl.rules():
        key = Key(RULE, space.place, (rule.priority, rule.device, rule.to))
        state[key] = (rule.table,) if rule.is_plain and key not in state else ("not the one plain rule",)
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
                _put_route(space, Route(table, prefix, _number(space, device), hop, 0, UNICAST))
            case RULE.name, (int() as priority, str() as device, IPv4Network() as to), (int() as table,):
                right = Rule(priority, device, to, table, is_plain=True)
                found = _rules(space, key)
                if right not in found:
                    space.rtnl.add_rule(right)
                for rule in found:
                    if rule != right:
                        space.rtnl.delete_rule(rule)
            case _:
                raise mistyped(key, value)


def drop(space: Space, key: Key) -> None:
    """Take routes or rules away; those that went along with something else are no error.

    Raises:
        Refused: the kernel won't let them go.
    """
    if key.table == RULE:
        for rule in _rules(space, key):
            with named(key, (), but=errno.ENOENT):
                space.rtnl.delete_rule(rule)
        return
    for route in space.rtnl.routes():
        if route.table != LOCAL_TABLE and _route_key(space.place, route) == key:
            with named(key, (), but=errno.ESRCH):
                space.rtnl.delete_route(route)


def _put_route(space: Space, right: Route) -> None:
    space.rtnl.replace_route(right)
    for route in space.rtnl.routes():
        if (route.table, route.prefix) == (right.table, right.prefix) and route != right:
            space.rtnl.delete_route(route)


def _number(space: Space, device: str) -> int:
    return there(space.rtnl, device).index


def _route_key(place: Place, route: Route) -> Key:
    if route.table == MAIN_TABLE:
        return Key(ROUTE, place, (route.prefix,))
    return Key(ROUTE_IN, place, (route.table, route.prefix))


def _rules(space: Space, key: Key) -> list[Rule]:
    return [rule for rule in space.rtnl.rules() if (rule.priority, rule.device, rule.to) == key.row]
