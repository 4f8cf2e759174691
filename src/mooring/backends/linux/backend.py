"""The Linux back-end: reads one host's facts from its kernel and its processes, and makes them true there."""

import errno
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from secrets import token_hex

from mooring.backends.linux import carriers, effects, links, netns, ports, routes, ruleset, sysctl
from mooring.backends.linux.aftermath import Aftermath
from mooring.backends.linux.dnsmasq import Dnsmasq
from mooring.backends.linux.forwarding import Forwarding
from mooring.backends.linux.nexthops import NextHops, Question, Target
from mooring.backends.linux.nft import as_loaded
from mooring.backends.linux.space import Space, Spaces, name_of, place_of
from mooring.backends.linux.watch import Watch
from mooring.backends.order import Step, steps
from mooring.compile import egress
from mooring.compile.facts import HOST, Delta, HostState, Key, Place, Refused, Row, Stage
from mooring.compile.links import ROUTER_SETTINGS, inner_settings, uplink_settings
from mooring.compile.tables import (
    ADDRESS,
    AWAY,
    BRIDGE,
    BRIDGE_FILTER,
    DHCP_SERVER,
    FILTERED,
    INNER,
    MARKED,
    NAMESPACE,
    PORT,
    ROUTE,
    ROUTE_IN,
    RULE,
    RULESET,
    SYSCTL,
    TRUNK,
    UPLINK,
    VLAN,
    VXLAN,
)
from mooring.model.traits import PortKind, Traits

_SILENT = frozenset({Stage.ELEMENT, Stage.ENTRY})
"""Stages whose changes cause no notice, or one that tells us from others."""


class LinuxBackend:
    """One host.

    `run` is a directory for the files of daemons, which may vanish at a reboot as they do; what must be kept is in the kernel.  `host` is
    the name of the network namespace that plays the host, None for the process's own.  `ports` is what the host's guest driver takes.
    Every method may be called from any thread.

    Raises:
        OSError: there is no namespace of that name, or no right to enter it.
    """

    traits = Traits("linux")

    def __init__(
        self, run: Path = Path("/run/mooring"), host: str | None = None, ports: PortKind = PortKind.VETH
    ) -> None:
        self._ports = ports
        self._lock = threading.RLock()
        # By this name of our threads, the kernel's notice of a transaction tells ours from others'.
        self._comm = f"mo-{token_hex(4)}"
        self._spaces = Spaces(host, self._comm)
        self._aftermath = Aftermath()
        self._forwarding = Forwarding(self._spaces.host)
        self._plugs: dict[str, Place] = {}
        self._trunks: set[str] = set()
        self._bridges: frozenset[int] = frozenset()
        self._watch: Watch | None = None
        self._next_hops = NextHops(self._set_away, self._question)
        self._dnsmasq = Dnsmasq(run / "dnsmasq", self._follow)

    def read(self, place: Place | None = None) -> HostState:
        """Return our facts as the host has them.

        Raises:
            Refused: the kernel can't be read.
        """
        with self._lock:
            places = [place] if place is not None else self._places()
            state: dict[Key, Row] = {}
            for each in places:
                try:
                    state.update(self._read(each))
                except OSError as error:
                    raise Refused(f"{each} can't be read: {error}") from error
            return state

    def apply(self, delta: Delta) -> None:
        """Make a delta true.

        Raises:
            Refused: with the fact that could not be made true, and why.
        """
        with self._lock:
            makes_noise = any(key.table.stage not in _SILENT for key in (*delta.put, *delta.drop))
            try:
                with self._watch.busy() if self._watch is not None and makes_noise else nullcontext():
                    self._apply(delta)
            except OSError as error:
                raise Refused(str(error)) from error

    def watch(self, doubt: Callable[[Place], None]) -> None:
        """Call `doubt` from another thread whenever somebody else may have changed a place, and at times when it was us."""
        with self._lock:
            if self._watch is None:
                self._watch = Watch(self._comm, doubt, place_of, self._concerned, self._forwarding.is_news)
                self._spaces.watched_by(self._watch)
                self._next_hops.start()

    def close(self) -> None:
        """Stop watching; leave the host as it is."""
        self._aftermath.close()
        self._next_hops.close()
        with self._lock:
            watch, self._watch = self._watch, None
            self._spaces.watched_by(None)
        if watch is not None:  # not under the lock: who is told of a doubt may be reading
            watch.close()
        with self._lock:
            self._spaces.close_all()

    def _places(self) -> list[Place]:
        return [HOST, *sorted({*self._spaces.routers(), *self._dnsmasq.places()})]

    def _read(self, place: Place) -> dict[Key, Row]:
        space = self._spaces.open(place)
        if place == HOST:
            return self._read_host()
        state: dict[Key, Row] = {}
        if space is not None:
            lo = space.rtnl.link("lo")
            state[Key(NAMESPACE, place, ())] = () if lo is not None and lo.is_up else ("its loopback is down",)
            structure = self._structure(space)
            state.update(structure)
            snapshot = ruleset.read(space)
            state.update(snapshot.ruleset)
            state.update(snapshot.elements)
            away = {
                str(key.row[0])
                for key, value in structure.items()
                if key.table is AWAY and value == (egress.NEXT_HOP_AWAY,)
            }
            self._next_hops.know(place, snapshot.elements, away)
        elif netns.is_stale(name_of(place)):
            state[Key(NAMESPACE, place, ())] = ("a name without a namespace",)
        state.update(self._dnsmasq.read(space, place))
        return state

    def _read_host(self) -> dict[Key, Row]:
        found = links.read_host(self._spaces.host, self._ports)
        snapshot = ruleset.read(self._spaces.host)
        known = {str(key.row[0]) for key in snapshot.elements if key.table == FILTERED}
        self._bridges = frozenset(found.bridges)
        self._trunks |= {str(key.row[0]) for key in found.facts if key.table == TRUNK}
        filters = ports.read_filters(self._spaces.host, found.by_index, known)
        return {
            **found.facts,
            **self._forwarding.read(found.tunnels),
            **snapshot.ruleset,
            **snapshot.elements,
            **filters,
        }

    def _structure(self, space: Space) -> dict[Key, Row]:
        """Return a router's devices, addresses, routes and settings."""
        devices = links.read_router(space, self._spaces.host)
        self._plugs.update(
            {
                str(value[0]): space.place
                for key, value in devices.facts.items()
                if key.table == INNER and len(value) > 1
            }
        )
        settings = [path for path, _ in ROUTER_SETTINGS]
        if any(key.table == MARKED for key in devices.facts):
            settings += [path for path, _ in egress.SETTINGS]
        for key in devices.facts:
            if key.table == INNER:
                settings += [path for path, _ in inner_settings(str(key.row[0]))]
            elif key.table == UPLINK:
                settings += [path for path, _ in uplink_settings(str(key.row[0]))]
        values = sysctl.read(space.inside, settings)
        return {**devices.facts, **{Key(SYSCTL, space.place, (path,)): (value,) for path, value in values.items()}}

    def _apply(self, delta: Delta) -> None:
        before = self._before(delta)
        for step in steps(delta):
            self._do(step)
            if step.stage in {Stage.LINK, Stage.ADDRESS} and step.place in before:
                self._restore(step.place, before[step.place], delta)
        for place, state in before.items():
            self._restore_servers(place, state, delta)

    def _before(self, delta: Delta) -> dict[Place, dict[Key, Row]]:
        """Return what routers have whose devices or addresses change: some of it may go along although nobody asked."""
        gone = {key.place for key in delta.drop if key.table == NAMESPACE}
        changed = {key.place for key in (*delta.put, *delta.drop) if key.table.stage in {Stage.LINK, Stage.ADDRESS}}
        found: dict[Place, dict[Key, Row]] = {}
        for place in changed - gone - {HOST}:
            if (space := self._spaces.open(place)) is not None:
                found[place] = {**self._structure(space), **self._dnsmasq.read(space, place)}
        return found

    def _restore(self, place: Place, before: dict[Key, Row], delta: Delta) -> None:
        """Put back what a device took along when it was made anew, and routes that went with the last address of a device."""
        space = self._open(place)
        now = self._structure(space)
        there = {key.row[0] for key in now if key.table in {INNER, UPLINK}}
        lost = {
            key: value
            for key, value in before.items()
            if key.table in {SYSCTL, ADDRESS, ROUTE, ROUTE_IN} and key not in delta.drop and now.get(key) != value
        }
        for key in sorted(lost, key=lambda key: key.table):
            devices = {*key.row, *lost[key], *(part for part in str(key.row[0]).split("/"))}
            if devices & {*there, "lo"}:
                self._put(key, lost[key])

    def _restore_servers(self, place: Place, before: dict[Key, Row], delta: Delta) -> None:
        """Start servers anew whose device was made anew: they listen to the old one."""
        space = self._open(place)
        now, devices = self._dnsmasq.read(space, place), self._devices(space)
        lost = {
            key: value
            for key, value in before.items()
            if key.table == DHCP_SERVER and key not in delta.drop and now.get(key) != value and value[0] in devices
        }
        if lost:
            self._dnsmasq.put_servers(space, lost)

    def _devices(self, space: Space) -> set[str]:
        return {link.name for link in space.rtnl.links()}

    def _do(self, step: Step) -> None:
        match step.stage:
            case Stage.CHAIN:
                ruleset.change_groups(self._open(step.place), Delta(step.put, step.drop))
            case Stage.ELEMENT:
                self._change_elements(step)
            case Stage.ENTRY if step.place == HOST:
                self._forwarding.change(step.put, step.drop)
            case Stage.ENTRY:
                self._dnsmasq.change_entries(self._open(step.place), step.put, step.drop)
            case Stage.LINK if step.put and step.place == HOST:
                self._put_carriers(step)
            case Stage.LINK if step.put:
                self._dnsmasq.end_strays(self._open(step.place))
                for key, value in step.put.items():
                    self._put(key, value)
            case Stage.SERVICE if step.put:
                self._dnsmasq.put_servers(self._open(step.place), step.put)
            case _:
                for key, value in step.put.items():
                    self._put(key, value)
                for key in step.drop:
                    if key not in step.put:
                        self._drop(key)

    def _put_carriers(self, step: Step) -> None:
        self._trunks |= {str(key.row[0]) for key in step.put if key.table == TRUNK}
        with self._forwarding.kept():
            carriers.make_way(self._spaces.host, step.put)
            for key, value in step.put.items():
                self._put(key, value)

    def _change_elements(self, step: Step) -> None:
        space = self._open(step.place)
        delta = Delta(step.put, step.drop)
        first, second = effects.in_two(delta)
        ruleset.change_elements(space, first)
        self._aftermath.of(space, delta)
        if second:
            ruleset.change_elements(space, second)
        if step.place != HOST:
            self._next_hops.change(step.place, step.put, step.drop)

    def _set_away(self, place: Place, device: str, *, is_away: bool) -> None:
        with self._lock:
            if (space := self._spaces.open(place)) is not None:
                routes.set_away(space, device, is_away=is_away)

    def _question(self, place: Place, target: Target) -> Question:
        with self._lock:
            space = self._spaces.open(place)
            if space is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name_of(place))
            return space.inside.run(lambda: Question(target))

    def _put(self, key: Key, value: Row) -> None:
        host = self._spaces.host
        match key.table.name:
            case NAMESPACE.name:
                self._put_namespace(key.place)
            case BRIDGE.name:
                links.put_bridge(host, key, value)
            case PORT.name:
                ports.put(host, key, value, self._ports)
            case BRIDGE_FILTER.name:
                ports.put_filter(host, key, value)
            case TRUNK.name | VLAN.name | VXLAN.name:
                carriers.put(host, key, value)
            case INNER.name:
                links.put_inner(self._open(key.place), host, key, value)
            case UPLINK.name:
                links.put_uplink(self._open(key.place), host, key, value)
            case ADDRESS.name:
                links.put_address(self._open(key.place), key, value)
            case ROUTE.name | ROUTE_IN.name | RULE.name | MARKED.name:
                routes.put(self._open(key.place), key, value)
            case SYSCTL.name:
                sysctl.write(self._open(key.place).inside, str(key.row[0]), str(value[0]))
            case RULESET.name:
                ruleset.put(self._open(key.place), key, value)
            case _:
                raise Refused(f"{key.place} {key.table.name}: this back-end knows no such facts")

    def _drop(self, key: Key) -> None:
        space = self._spaces.open(key.place)
        match key.table.name:
            case NAMESPACE.name:
                self._drop_namespace(key.place, space)
            case DHCP_SERVER.name:
                self._dnsmasq.drop_server(key)
            case _ if space is None:
                pass  # it went with its namespace
            case SYSCTL.name:
                pass  # a setting has always some value; what nobody asks for may be as it is
            case BRIDGE_FILTER.name:
                ports.drop_filter(space, key)
            case RULESET.name:
                ruleset.drop(space, key)
            case ROUTE.name | ROUTE_IN.name | RULE.name | MARKED.name:
                routes.drop(space, key)
            case TRUNK.name | VLAN.name | VXLAN.name:
                carriers.drop(space, key)
            case _:
                links.drop(space, key)

    def _put_namespace(self, place: Place) -> None:
        name = name_of(place)
        if self._spaces.open(place) is None:
            # Some of a router's settings are there only once the kernel has loaded what the rules take.
            as_loaded(ruleset.NAME)
            netns.create(name)
        space = self._open(place)
        space.rtnl.set(links.LOOPBACK, state="up")

    def _drop_namespace(self, place: Place, space: Space | None) -> None:
        self._dnsmasq.drop_place(place)
        if space is not None:
            # The kernel ends a namespace some time after its name is gone; the names of its devices on the host must be free at once.
            links.clear(space)
            self._spaces.close(place)
        self._next_hops.forget(place)
        netns.remove(name_of(place))

    def _follow(self, place: Place, processes: Iterable[int]) -> None:
        if self._watch is not None:
            self._watch.follow(place, processes)

    def _concerned(self, link: str, master: int) -> Iterable[Place]:
        """Return the places that a link of the host means something to; `master` is the number of the bridge that it is a port of."""
        if not carriers.is_ours(link) and link not in self._trunks and master not in self._bridges:
            return ()
        router = self._plugs.get(link)
        return (HOST,) if router is None else (HOST, router)

    def _open(self, place: Place) -> Space:
        space = self._spaces.open(place)
        if space is None:
            raise Refused(f"{place}: there is no such namespace")
        return space
