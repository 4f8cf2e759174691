"""Bridges with the same ports, each in namespaces of its own: bare, with connection tracking alone, mooring's, nova-network's, Neutron's.

    guest ends [ NUMBER-guests ] === ports, bridge [ NUMBER-host ]

A guest's end is a device without an address, and its hardware address is not the guest's: a frame that has come through is counted, and ends
there, as it isn't meant for this machine.  So the way that is measured ends where the frame leaves the bridge.
"""

import json
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path

from bench.blast import Bridged, Frames, entered, forget, received
from bench.filters_peers import Change, Neutron, Nova
from bench.filters_wall import MTU, Sent, Wall
from bench.world import add_namespace, at, ip
from mooring.backends.linux.backend import LinuxBackend
from mooring.compile.facts import Delta, Stage
from mooring.compile.host import compile_host

ESTABLISHED, NEW, ANEW = "established", "new", "judged anew"

_KNOWN, _NEW = 4_096, 32_768
_NEW_OF_A_GUEST = 400
"""So many flows a guest opens at once, at most: with a limit for each guest, what one more costs depends on how many there are."""

_SECONDS = 0.15
_PATIENCE = 0.5
"""So many seconds all packets of a kind may take; of packets that take longer fewer are sent."""

_PROBED = 64
_ATTEMPTS = 5
"""So often packets are sent anew if some were lost: on a busy machine the kernel puts off what it does for them, and drops what is too much."""

_CONNTRACK = """table ip peer {
 chain c { type filter hook forward priority 0; ct state established,related accept; ct state invalid drop; }
}"""

Changes = Mapping[str, tuple[Callable[[], object], Callable[[], object]]]
"""By what changes: what does it, and what undoes it."""


class Track(ABC):
    """A host with a bridge and the guests' side of it, and packets from one port to another."""

    name: str
    is_shown = True
    """Whether the hooks of IP see what any bridge here forwards."""

    def __init__(self, wall: Wall, number: int, stack: ExitStack) -> None:
        self.wall = wall
        self.host, self.guests = f"b{number}-host", f"b{number}-guests"
        self.loads: dict[str, float] = {}
        for namespace in (self.host, self.guests):
            add_namespace(namespace)
            _set(namespace, "net.ipv6.conf.default.disable_ipv6", "1")
        for family in ("ip", "ip6", "arp"):
            _set(self.host, f"net.bridge.bridge-nf-call-{family}tables", str(int(self.is_shown)))
        self.build(stack)
        self._inside = {name: entered(name, stack) for name in (self.host, self.guests)}
        devices = {it["ifname"]: int(it["ifindex"]) for it in json.loads(ip("-n", self.guests, "-j", "link", "show"))}
        known = [it for one in islice(wall.flows(), _KNOWN // 2) for it in (one, one.answer)]
        new = islice(wall.flows(), _KNOWN, _KNOWN + min(_NEW, _NEW_OF_A_GUEST * wall.size))
        self._frames = {
            ESTABLISHED: self._prepared([_frame(devices, it) for it in known], stack),
            NEW: self._prepared([_frame(devices, it) for it in new], stack),
            ANEW: self._prepared([_frame(devices, it) for it in known[::2]], stack),
        }

    @abstractmethod
    def build(self, stack: ExitStack) -> None:
        """Make the bridge, its ports and what is between them."""

    def changes(self) -> Changes:
        """Return what can be changed here."""
        return {}

    def withdraw(self) -> None:
        """Change all that can be changed, and take it back."""
        for do, undo in self.changes().values():
            do()
            undo()

    def measure(self, kind: str) -> float:
        """Return the nanoseconds of processor time that a packet takes.

        Raises:
            RuntimeError: some didn't arrive, or arrived elsewhere too.
        """
        sent = arrived = 0
        for _ in range(_ATTEMPTS):
            sent, arrived, spent = self._sent(kind)
            if 0.999 * sent <= arrived <= 1.001 * sent:
                return spent / sent * 1e9
        raise RuntimeError(f"{self.name}, {kind}: of {sent} packets {arrived} arrived")

    def _sent(self, kind: str) -> tuple[int, int, float]:
        """Return how many packets were sent and how many arrived, and the seconds of processor time that took."""
        guests, frames = self._inside[self.guests], self._frames[kind]
        self._inside[self.host].run(forget)
        time.sleep(0.05)
        if kind != NEW:
            guests.run(self._frames[ESTABLISHED].once)
        if kind == ANEW:
            self.withdraw()
        before = received(self.guests)
        sent, spent = guests.run(partial(frames.send, _SECONDS) if kind == ESTABLISHED else frames.once)
        time.sleep(0.02)
        return sent, received(self.guests) - before, spent

    def _prepared(self, frames: list[Bridged], stack: ExitStack) -> Frames:
        inside = self._inside[self.guests]
        found = inside.run(lambda: Frames(len(frames)))
        stack.callback(found.close)
        found.load(frames)
        found.keep(_PROBED)
        _, spent = inside.run(found.once)
        found.load(frames)
        found.keep(max(_PROBED, int(_PATIENCE * _PROBED / spent) // 2 * 2))
        return found

    def plug(self) -> None:
        """Make the bridge and its ports as any program would; the bridge is told which guest is where."""
        bridge, ports = self.wall.bridge, self.wall.ports
        started = time.monotonic()
        _batch(
            self.host,
            [
                f"link add {bridge} mtu {MTU} type bridge",
                f"link set {bridge} up",
                *(
                    f"link add {it.device} mtu {MTU} type veth peer name {it.guest_end} netns {self.guests}"
                    for it in ports
                ),
                *(f"link set {it.device} master {bridge} up" for it in ports),
            ],
        )
        known = "".join(f"fdb add {it.mac} dev {it.device} master static\n" for it in ports)
        _run(at(self.host, "bridge", "-batch", "-"), known)
        self.loads["ports"] = time.monotonic() - started
        self.open()

    def open(self) -> None:
        """Let the guests' ends carry."""
        _batch(self.guests, [f"link set {it.guest_end} up" for it in self.wall.ports])


class Bare(Track):
    """A bridge, and nothing else."""

    name = "bare bridge"
    is_shown = False

    def build(self, stack: ExitStack) -> None:
        """Make it."""
        self.plug()


class Tracked(Track):
    """Connection tracking alone: what is left of any filter that knows flows when its rules cost nothing."""

    name = "bridge, conntrack"

    def build(self, stack: ExitStack) -> None:
        """Make it."""
        self.plug()
        _run(at(self.host, "nft", "-f", "-"), _CONNTRACK)


class Mooring(Track):
    """What the compiler says and the Linux back-end does."""

    name = "mooring"
    is_shown = False
    """The back-end says it of its own bridge."""

    def build(self, stack: ExitStack) -> None:
        """Apply the facts, the ports last as always."""
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
        self.backend = LinuxBackend(run, self.host)
        stack.callback(self.backend.close)
        state = compile_host(self.wall.subjects())
        rules = {key: value for key, value in state.items() if key.table.stage < Stage.PORT}
        ports = {key: value for key, value in state.items() if key.table.stage is Stage.PORT}
        for name, facts in (("rules and addresses", rules), ("ports", ports)):
            started = time.monotonic()
            self.backend.apply(Delta(facts, {}))
            self.loads[name] = time.monotonic() - started
        _batch(self.host, [f"link set {it.guest_end} netns {self.guests}" for it in self.wall.ports])
        self.open()

    def changes(self) -> Changes:
        """Return deltas, applied."""
        deltas = {"rule": self.wall.rule(), "member": self.wall.member(), "address": self.wall.address()}
        return {
            name: (partial(self.backend.apply, it), partial(self.backend.apply, Delta(it.drop, it.put)))
            for name, it in deltas.items()
        }


class Partial(Mooring):
    """mooring's rules but for a part of them, which tells what that part costs: the back-end would put it right, if it were asked."""

    chains: tuple[str, ...]
    word: str | None = None
    """Only the rules with this word go."""

    def build(self, stack: ExitStack) -> None:
        """Take the part out."""
        super().build(stack)
        for chain in self.chains:
            if self.word is None:
                _run(at(self.host, "nft", "flush", "chain", *chain.split()))
                continue
            listing = _run(at(self.host, "nft", "--handle", "list", "chain", *chain.split()))
            handles = [line.rpartition(" ")[2] for line in listing.splitlines() if self.word in line]
            if not handles:
                raise RuntimeError(f"{chain}: no rule has {self.word}")
            for handle in handles:
                _run(at(self.host, "nft", "delete", "rule", *chain.split(), "handle", handle))

    def changes(self) -> Changes:
        """Return nothing: who applies something else puts this right, too."""
        return {}


class Unguarded(Partial):
    """Guests may send as anybody."""

    name = "mooring but the guard"
    chains = ("bridge mooring arriving", "bridge mooring forwarded")


class Uncounted(Partial):
    """Guests may open any number of flows."""

    name = "mooring but the limit of flows"
    chains = ("inet mooring sent4",)
    word = "ct count"


class Unjudged(Partial):
    """Guests may reach anybody."""

    name = "mooring but the groups"
    chains = ("inet mooring passing",)


class Peer(Track):
    """What a program with iptables and ipset does; only these two are measured, and not what it does before."""

    peer: type[Nova] | type[Neutron]

    def build(self, stack: ExitStack) -> None:
        """Load sets and rules."""
        self.plug()
        self._of = self.peer(self.wall)
        sets, rules = self._of.sets(), self._of.rules()
        started = time.monotonic()
        self._restore(sets, rules, whole=True)
        self.loads["rules and addresses"] = time.monotonic() - started

    def changes(self) -> Changes:
        """Return changes by the programs that restore."""
        changes: dict[str, Change] = {
            "rule": self._of.rule(),
            "member": self._of.member(),
            "address": self._of.address(),
        }
        return {
            name: (partial(self._restore, it.sets, it.rules), partial(self._restore, it.sets_undone, it.undone))
            for name, it in changes.items()
        }

    def _restore(self, sets: str, rules: str, *, whole: bool = False) -> None:
        if sets:
            _run(at(self.host, "ipset", "restore"), sets)
        if rules:
            _run(at(self.host, "iptables-legacy-restore", *([] if whole else ["--noflush"])), rules)


class NovaNetwork(Peer):
    """nova-network's."""

    name = "nova-network, iptables"
    peer = Nova


class NeutronBridge(Peer):
    """Neutron's."""

    name = "Neutron, iptables"
    peer = Neutron


def _frame(devices: Mapping[str, int], sent: Sent) -> Bridged:
    return devices[sent.source.guest_end], sent.source.mac, sent.target.mac, sent.flow


def _set(namespace: str, name: str, value: str) -> None:
    _run(at(namespace, "sysctl", "-qw", f"{name}={value}"))


def _batch(namespace: str, commands: Iterable[str]) -> None:
    _run(["ip", "-n", namespace, "-batch", "-"], "".join(f"{command}\n" for command in commands))


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[:500]}")
    return done.stdout
