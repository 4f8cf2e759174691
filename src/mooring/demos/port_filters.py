"""Port filters: security groups that open and close under traffic, and a guest that can be nobody but itself."""

import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from mooring.config import AccountSettings, IdentitySettings, Settings
from mooring.demos.frames import End
from mooring.demos.impostor import Street, owner_sends, try_all
from mooring.demos.session import INTERVAL, Session
from mooring.demos.stage import HOST, OUTSIDE, OUTSIDE_ADDRESS, PUBLIC, UPLINK_INTERFACE, Stage
from mooring.demos.story import Demo, Story
from mooring.demos.tenants import Guest, Tenant
from mooring.model.accounts import Role
from mooring.model.ids import InstanceId, guest_namespace

_NETWORK, _CIDR, _ROUTER = "shared", "10.0.0.0/24", IPv4Address("10.0.0.1")
_DEMO, _RIVAL = "demo", "rival"
_HTTP, _ECHO, _SYSLOG, _DISCARD = 80, 7, 514, 9
_ANYBODY = "0.0.0.0/0"
_WAIT = 30.0
_CLOSED_SECONDS = 2.0
_AT_ONCE = 1.0
_SOME_BYTES = 25
_NAMESPACES = Path("/run/netns")


class _Town(Stage):
    """The stage, with two projects."""

    def _settings(self, state: Path) -> Settings:
        known = super()._settings(state)
        rival = AccountSettings(user=_RIVAL, password=self.password, project=_RIVAL, role=Role.MEMBER)
        accounts = (*known.identity.accounts, rival)
        return known.model_copy(update={"identity": IdentitySettings(accounts=accounts)})


class _Tale:
    """The story's characters: two projects, their guests on one bridge, and an address by which one is reached from outside."""

    def __init__(self, story: Story, stage: Stage) -> None:
        """Keep who tells and where."""
        self.story = story
        self.stage = stage
        self.demo, self.rival = (Tenant(story, stage, name) for name in (_DEMO, _RIVAL))
        self.before = self.kernel()
        self.public = ""
        self.web: Guest
        self.peer: Guest
        # Of the client's groups and rules there are no types.
        self.group: Any = None
        self.http: Any = None
        self.echo: Any = None

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.set_up()
        self.closed()
        self.opened()
        self.hold()
        self.forge()
        self.apart()
        self.members()
        self.end()

    # ----------------------------------------------------------------------------------------------------- beginning

    def set_up(self) -> None:
        """Make a network, a pool and two guests."""
        self.story.step("The operator makes one network for all projects; a tenant boots two guests on it")
        self.mooring("network", "create", _NETWORK, "--cidr", _CIDR, shown=False)
        self.mooring(
            *("pool", "create", "public", "--cidr", str(PUBLIC), "--gateway", "198.51.100.1"),
            *("--range", "198.51.100.10-198.51.100.250", "--uplink", "isp-a", "--interface", UPLINK_INTERFACE),
            shown=False,
        )
        self.group = self.demo.group("web", "What the world may ask of web")
        self.web = self.boot(self.demo, "web", "web")
        self.peer = self.boot(self.demo, "peer", "default")
        self.public = self.demo.float_to(self.web)

    def mooring(self, *arguments: str, shown: bool = True) -> str:
        """Run the command line as the operator."""
        return self.story.mooring("admin", self.stage.environment("admin"), *arguments, shown=shown)

    def boot(self, tenant: Tenant, name: str, group: str) -> Guest:
        """Start a guest in a security group, and wait until it has put its address on."""
        made = tenant.boot(name, group)
        claim = f"{name} runs, and has its address by DHCP"
        self.story.eventually(claim, lambda: self.card(made), _WAIT)
        (card,) = self.card(made)
        self.story.output(f"{name}: {card.address}, {card.mac}")
        return Guest(made, name, card)

    def card(self, guest: InstanceId) -> list[End]:
        """Return a guest's hardware address and address, once it has one."""
        said = self.quiet(guest_namespace(guest), "ip", "address", "show", "eth0")
        mac, address = re.search(r"link/ether (\S+)", said), re.search(r"inet ([\d.]+)/", said)
        return [End(mac[1], IPv4Address(address[1]))] if mac and address else []

    def quiet(self, place: str, *command: str) -> str:
        """Run a command at a place without a word, and return its output."""
        done = subprocess.run(self.stage.at(place, *command), capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    # ------------------------------------------------------------------------------------------------- what one sees

    def pings(self, place: str, address: object, prompt: str = "outside") -> bool:
        """Say whether an address answers a ping."""
        said = self.story.run(self.stage.at(place, "ping", "-c", "1", "-W", "1", "-q", str(address)), prompt=prompt)
        return ", 1 received" in said

    def page(self, place: str, address: object, prompt: str = "outside") -> bool:
        """Say whether there is a page at an address."""
        # Not by its own -T, with which Debian's busybox 1.35 crashes.
        command = ("timeout", "2", "busybox", "wget", "-q", "-O", "-", f"http://{address}/")
        return "instance " in self.story.run(self.stage.at(place, *command), prompt=prompt)

    def echoes(self, guest: Guest, target: Guest) -> bool:
        """Say whether a guest gets an answer of another's echo service."""
        command = f"echo hello | busybox nc -w 1 {target.address} {_ECHO}"
        self.story.prompt(guest.name, command)
        said = self.quiet(guest.place, "sh", "-c", command)
        self.story.output(said)
        return "hello" in said

    def trace(self, *arguments: str) -> str:
        """Ask where a packet would go."""
        return self.mooring("trace", *arguments)

    # --------------------------------------------------------------------------------------------------------- groups

    def closed(self) -> None:
        """Nothing comes in."""
        self.story.step("A security group without rules lets nothing in, and mooring trace says what is missing")
        self.story.holds(f"{self.public} answers no ping from outside", not self.pings(OUTSIDE, self.public))
        self.story.holds("and there is no page", not self.page(OUTSIDE, self.public))
        told = self.trace(str(OUTSIDE_ADDRESS), self.public, "tcp", str(_HTTP))
        self.story.holds("the trace names what is missing", _lacks(told, f"admits tcp {_HTTP} from {OUTSIDE_ADDRESS}"))

    def opened(self) -> None:
        """One port is opened."""
        self.story.step("A rule opens TCP 80, and nothing else")
        self.http = self.demo.allow(self.group, "tcp", _HTTP, _ANYBODY)
        self.story.holds("the page is there, as soon as the call has returned", self.page(OUTSIDE, self.public))
        self.story.holds("a ping is still not answered", not self.pings(OUTSIDE, self.public))
        told = self.trace(str(OUTSIDE_ADDRESS), self.public, "tcp", str(_HTTP))
        self.story.holds("the trace names the rule that lets it in", f"admits tcp {_HTTP} from {_ANYBODY}" in told)

    def hold(self) -> None:
        """A rule closes and opens a running flow."""
        self.story.step("A rule closes and opens a TCP session that runs")
        self.echo = self.demo.allow(self.group, "tcp", _ECHO, _ANYBODY)
        with Session(OUTSIDE, self.public, _ECHO) as talk:
            self.story.say(f"outside talks to web's echo service: a byte every {INTERVAL * 1000:g} ms.")
            self.goes_on(talk)
            heard, again = talk.heard, talk.sent_again
            other = self.demo.allow(self.group, "udp", _SYSLOG, _ANYBODY)
            self.demo.revoke(other)
            self.goes_on(talk)
            longest, again = talk.longest(heard) * 1000, talk.sent_again - again
            self.story.output(f"longest time from byte to byte {longest:.0f} ms; segments sent again: {again}")
            self.story.holds("another rule came and went, and the session has lost nothing", talk.whole)

            self.demo.revoke(self.echo)
            heard = self.ended(talk, "its rule")
            told = self.trace(str(OUTSIDE_ADDRESS), self.public, "tcp", str(_ECHO))
            self.story.holds("the trace says why", _lacks(told, f"admits tcp {_ECHO} from {OUTSIDE_ADDRESS}"))
            self.story.holds("established or not, nothing has come since", talk.whole and talk.heard == heard)

            self.echo = self.demo.allow(self.group, "tcp", _ECHO, _ANYBODY)
            self.story.eventually("the rule is back, and the same session goes on", lambda: talk.heard > heard, _WAIT)
            talk.hush(_WAIT)
            self.story.output(
                f"{talk.sent} bytes sent, {talk.heard} came back, {talk.sent_again} segments were sent again"
            )
            self.story.holds("in the end every byte has come back", talk.whole and talk.heard == talk.sent)

    def ended(self, talk: Session, reason: str) -> int:
        """Look whether a session is silent since a call returned, which was just now; return how many bytes came before."""
        done = time.monotonic()
        time.sleep(_CLOSED_SECONDS)
        late = talk.arrivals[-1] - done
        when = f"{abs(late) * 1000:.0f} ms {'after' if late > 0 else 'before'}"
        self.story.holds(f"its last byte came {when} the call that took {reason} away returned", late < _AT_ONCE)
        return talk.heard

    def goes_on(self, talk: Session) -> None:
        """Wait until some more bytes have come back."""
        enough = talk.heard + _SOME_BYTES
        self.story.eventually(f"{_SOME_BYTES} more bytes come back", lambda: talk.heard >= enough, _WAIT)

    # -------------------------------------------------------------------------------------------------- nobody else

    def forge(self) -> None:
        """A guest tries to be its neighbour."""
        self.story.step("A guest tries to be its neighbour: peer sends frames of its own making by a raw socket")
        (router,) = (path.name for path in _NAMESPACES.glob("mooring-r-*"))
        for guest in (self.web, self.peer):
            self.story.holds(f"the router answers {guest.name}", self.pings(guest.place, _ROUTER, guest.name))
        gateway = End(self.neighbour(self.web.place, _ROUTER), _ROUTER)
        street = Street(
            self.peer.end,
            self.web.end,
            gateway,
            OUTSIDE_ADDRESS,
            self.peer.place,
            self.web.place,
            router,
            OUTSIDE,
        )
        try_all(self.story, street)
        owner_sends(self.story, street)
        self.story.holds("web knows the router as before", self.neighbour(self.web.place, _ROUTER) == gateway.mac)
        known = self.neighbour(router, self.web.address)
        self.story.holds("the router knows web as before", known == self.web.end.mac)
        flow = (str(self.web.address), str(OUTSIDE_ADDRESS), "udp", str(_DISCARD))
        told = self.trace(*flow, "--by", self.peer.id)
        self.story.holds(
            "the trace names the element that peer would need", _lacks(told, f"{self.peer.end.mac} {self.web.address}")
        )

    def neighbour(self, place: str, address: IPv4Address) -> str:
        """Return the hardware address that a place knows of an address."""
        said = self.quiet(place, "ip", "neighbour", "show", str(address))
        found = re.search(r"lladdr (\S+)", said)
        return found[1] if found else ""

    # ------------------------------------------------------------------------------------------------------ two tenants

    def apart(self) -> None:
        """Two tenants on one bridge."""
        self.story.step("Another tenant's guest on the same bridge is apart, but for what a rule says")
        for rule in (self.http, self.echo):
            self.demo.revoke(rule)
        other = self.boot(self.rival, "stranger", "default")
        claims: dict[str, Callable[[], bool]] = {
            "web does not answer stranger's ping": partial(self.pings, other.place, self.web.address, other.name),
            "stranger gets no page of web": partial(self.page, other.place, self.web.address, other.name),
            "stranger does not answer web's ping": partial(self.pings, self.web.place, other.address, self.web.name),
        }
        for claim, reached in claims.items():
            self.story.holds(claim, not reached())
        flow = (str(other.address), str(self.web.address), "tcp", str(_HTTP))
        told = self.trace(*flow)
        self.story.holds("the trace says why", _lacks(told, f"admits tcp {_HTTP} from {other.address}"))
        rule = self.demo.allow(self.group, "tcp", _HTTP, f"{other.address}/32")
        self.story.holds("stranger gets the page", self.page(other.place, self.web.address, other.name))
        self.story.holds("and no echo", not self.echoes(other, self.web))
        self.story.holds("peer gets none", not self.page(self.peer.place, self.web.address, self.peer.name))
        told = self.trace(*flow)
        self.story.holds("the trace names the rule", f"admits tcp {_HTTP} from {other.address}" in told)
        self.demo.revoke(rule)
        self.story.holds("without the rule there is no page", not self.page(other.place, self.web.address, other.name))

    def members(self) -> None:
        """A rule that names a group."""
        self.story.step("A rule admits the members of a group, whoever they are at the moment")
        workers = self.demo.group("workers", "Who may use web's echo service")
        self.demo.allow_group(self.group, "tcp", _ECHO, workers)
        worker = self.boot(self.demo, "worker", "workers")
        self.story.holds("worker is a member, and is answered", self.echoes(worker, self.web))
        self.story.holds("peer is none, and is not", not self.echoes(self.peer, self.web))
        self.demo.join(self.peer, workers)
        self.story.holds("peer has become one, and is answered at once", self.echoes(self.peer, self.web))
        told = self.trace(str(self.peer.address), str(self.web.address), "tcp", str(_ECHO))
        self.story.holds("the trace names the membership", "member" in told)
        with Session(self.peer.place, str(self.web.address), _ECHO) as talk:
            self.story.say("peer talks to web's echo service.")
            self.goes_on(talk)
            self.demo.leave(self.peer, workers)
            self.ended(talk, "its membership")
        self.story.holds("nor does it get another one", not self.echoes(self.peer, self.web))
        self.story.holds("worker still is", self.echoes(worker, self.web))

    # -------------------------------------------------------------------------------------------------------------- end

    def end(self) -> None:
        """Take everything away."""
        self.story.step("All of it is taken away, and nothing is left")
        for tenant in (self.demo, self.rival):
            tenant.delete_all()
        self.story.eventually("the guests are gone", lambda: not [*_NAMESPACES.glob("mooring-g-*")], _WAIT)
        for group in [known for known in self.demo.nova.security_groups.list() if known.name != "default"]:
            self.demo.delete_group(group)
        self.mooring("network", "delete", _NETWORK)
        self.mooring("pool", "delete", "public")
        self.story.eventually(
            "the host has the rules, set elements and links that it had in the beginning, which are none but its uplink",
            lambda: self.kernel() == self.before,
            _WAIT,
        )

    def kernel(self) -> tuple[str, ...]:
        """Return what the kernel of the host has: rules, and the elements of their sets and maps; links."""
        commands = (("nft", "--stateless", "list", "ruleset"), ("ip", "-brief", "link"))
        return tuple(self.quiet(HOST, *command) for command in commands)


def _lacks(trace: str, what: str) -> bool:
    """Say whether a trace ends a packet's way for want of something."""
    return what in trace and "without" in trace and "dropped" in trace


DEMO = Demo(
    "port-filters",
    "Guests that can be nobody but themselves, two tenants apart on one bridge, rules that open and close running flows.",
    lambda keep_port, home: _Town(home, keep_port=keep_port),
    lambda story, stage: _Tale(story, stage).tell(),
)
