"""Namespaces that are open: their threads, and the sockets in them, each opened when first asked for."""

from dataclasses import dataclass, field

from mooring.backends.linux import netns
from mooring.backends.linux.announce import Announcer
from mooring.backends.linux.conntrack import Conntrack
from mooring.backends.linux.neighbours import Neighbours
from mooring.backends.linux.netns import Inside
from mooring.backends.linux.nfnetlink import Nfnetlink
from mooring.backends.linux.nft import Nft
from mooring.backends.linux.rtnl import Rtnl
from mooring.backends.linux.transactions import Writer
from mooring.backends.linux.watch import Watch
from mooring.compile.facts import HOST, Key, Place, PlaceKind, Row
from mooring.model.ids import RouterId, is_uuid, router_namespace

_PREFIX = router_namespace(RouterId(""))


@dataclass(slots=True)
class Snapshot:
    """The nftables of a namespace as they were at a generation; true as long as the kernel is at that generation.

    `ruleset` has the ruleset and the security groups, `blocks` what the kernel listed of the groups.
    """

    generation: int
    ruleset: dict[Key, Row]
    elements: dict[Key, Row]
    blocks: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict[tuple[int, str], tuple[str, ...]])


class Space:
    """What is open in one namespace."""

    def __init__(self, place: Place, inside: Inside) -> None:
        self.place = place
        self.inside = inside
        self.snapshot: Snapshot | None = None
        self._rtnl: Rtnl | None = None
        self._nft: Nft | None = None
        self._nfnetlink: Nfnetlink | None = None
        self._writer: Writer | None = None
        self._conntrack: Conntrack | None = None
        self._announcer: Announcer | None = None
        self._neighbours: Neighbours | None = None

    @property
    def rtnl(self) -> Rtnl:
        """Links, addresses, routes."""
        if self._rtnl is None:
            self._rtnl = Rtnl(self.inside)
        return self._rtnl

    @property
    def nft(self) -> Nft:
        """libnftables; to be used by `inside.run` only."""
        if self._nft is None:
            self._nft = self.inside.run(Nft)
        return self._nft

    @property
    def nfnetlink(self) -> Nfnetlink:
        """The generation and the elements of nftables."""
        if self._nfnetlink is None:
            self._nfnetlink = Nfnetlink(self.inside)
        return self._nfnetlink

    @property
    def writer(self) -> Writer:
        """Transactions of nftables, where libnftables is too slow."""
        if self._writer is None:
            self._writer = Writer(self.inside)
        return self._writer

    @property
    def conntrack(self) -> Conntrack:
        """The flows that the kernel knows."""
        if self._conntrack is None:
            self._conntrack = Conntrack(self.inside)
        return self._conntrack

    @property
    def announcer(self) -> Announcer:
        """Gratuitous ARP."""
        if self._announcer is None:
            self._announcer = Announcer(self.inside)
        return self._announcer

    @property
    def neighbours(self) -> Neighbours:
        """Bridging and ARP entries."""
        if self._neighbours is None:
            self._neighbours = Neighbours(self.inside)
        return self._neighbours

    def close(self) -> None:
        """Close all sockets and end the thread, so that nothing of ours keeps the namespace alive."""
        for opened in self._sockets():
            if opened is not None:
                opened.close()
        if self._nft is not None:
            self.inside.run(self._nft.close)
        self.inside.close()

    def _sockets(self) -> tuple[Rtnl | Nfnetlink | Writer | Conntrack | Announcer | Neighbours | None, ...]:
        return self._rtnl, self._nfnetlink, self._writer, self._conntrack, self._announcer, self._neighbours


class Spaces:
    """The namespaces of a host: its own, and one for each router.

    `host` is the name of the namespace that plays the host; None is the process's own.
    """

    def __init__(self, host: str | None, comm: str) -> None:
        """Open the host's namespace.

        Raises:
            OSError: there is none of this name.
        """
        self._comm = comm
        self.host = Space(HOST, Inside(host, comm))
        self._watch: Watch | None = None
        self._routers: dict[Place, Space] = {}

    def open(self, place: Place) -> Space | None:
        """Return a place's namespace as it is now, None if it has none; one that was replaced by hand is opened anew."""
        if place == HOST:
            return self.host
        space = self._routers.get(place)
        now = netns.inode(name_of(place))
        if space is not None and space.inside.inode != now:
            self.close(place)
            space = None
        if space is None and now is not None:
            space = self._routers[place] = Space(place, Inside(name_of(place), self._comm))
            if self._watch is not None:
                self._watch.add(place, space.inside)
        return space

    def watched_by(self, watch: Watch | None) -> None:
        """Let all namespaces be watched, also those to come; None stops it."""
        self._watch = watch
        if watch is None:
            return
        watch.add(HOST, self.host.inside)
        for place in self.routers():
            if place in self._routers:
                watch.add(place, self._routers[place].inside)
            else:
                self.open(place)

    def close(self, place: Place) -> None:
        """Forget a place's namespace."""
        if (space := self._routers.pop(place, None)) is not None:
            if self._watch is not None:
                self._watch.remove(place)
            space.close()

    def close_all(self) -> None:
        """Forget all."""
        for place in tuple(self._routers):
            self.close(place)
        self.host.close()

    def routers(self) -> list[Place]:
        """Return the places of all routers that have a name in /run/netns."""
        return [place for name in netns.names(_PREFIX) if (place := place_of(name)) is not None]


def place_of(name: str) -> Place | None:
    """Return the place of a name in /run/netns, None if it is no router's."""
    id = name.removeprefix(_PREFIX)
    return Place(PlaceKind.ROUTER, id) if name.startswith(_PREFIX) and is_uuid(id) else None


def name_of(place: Place) -> str:
    """Return the name of a router's namespace."""
    return router_namespace(RouterId(place.id))
