"""Several providers: one guest with one network card, and who sees it as whom, by which way, before and after each preference."""

import json
import re
import subprocess
import time
from pathlib import Path

from mooring.compile.egress import NEXT_HOP_AWAY
from mooring.demos.crossroads import ARCHIVE, ECHO, ISP_A, ISP_B, OUTSIDE, SHOP, WHOAMI, Crossroads, Isp
from mooring.demos.session import Session
from mooring.demos.stage import HOST
from mooring.demos.story import Demo, Story
from mooring.model.ids import InstanceId, guest_namespace

_WAIT = 30.0
_SOME_BYTES = 25
_NAMESPACES = Path("/run/netns")
_GUEST = "web"
_EVERYBODY, _PART = "192.0.2.0/24", "192.0.2.0/25"
"""Where both machines outside are, and where only the shop is."""
_TOLD = re.compile(r"^\S|=>|^    (choosing|steering|routing|leaving|checked|flow) ")
"""What is shown of a trace: as whom a packet leaves, and by which way; no more."""
_DEVICE = re.compile(r" \(mu[0-9a-f]+\)")


class _Tale:
    """The story's characters: a guest, its two public addresses, and what it prefers."""

    def __init__(self, story: Story, stage: Crossroads) -> None:
        """Keep who tells and where."""
        self.story = story
        self.stage = stage
        self.before = self.kernel()
        self.fixed = self.place = ""
        self.by: dict[Isp, str] = {}
        self.preferences: list[str] = []

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.set_up()
        self.boot()
        self.come_in()
        self.prefer()
        self.change()
        self.fall_back()
        self.fall_silent()
        self.fail_closed()
        self.end()

    # ----------------------------------------------------------------------------------------------------- beginning

    def set_up(self) -> None:
        """Make a network and a pool for each provider."""
        self.story.step("The operator makes a network, and for each of two providers a pool on an uplink of its own")
        self.mooring("admin", "network", "create", "private", "--cidr", "10.0.0.0/24", shown=False)
        for isp in (ISP_A, ISP_B):
            network = isp.cidr.network_address
            self.mooring(
                *("admin", "pool", "create", isp.name, "--cidr", str(isp.cidr), "--gateway", str(isp.gateway)),
                *("--range", f"{network + 10}-{network + 200}", "--uplink", isp.name, "--interface", isp.interface),
                shown=False,
            )

    def boot(self) -> None:
        """Start the guest and give it an address of each provider."""
        self.story.step("A tenant boots one guest with one network card, and gives it an address of each provider")
        said = self.mooring("demo", "instance", "create", _GUEST, "--image", "web", "--network", "private", "--wait")
        made = re.search(r"(?m)^id +(\S+)$", said)
        self.place = guest_namespace(InstanceId(made[1] if made else ""))
        self.story.eventually("it has its address by DHCP", self.card, _WAIT)
        self.fixed = self.card()
        self.story.output(self.quiet(self.place, "ip", "route"))
        for isp in (ISP_A, ISP_B):
            found = re.search(r"(?m)^address +(\S+)$", self.mooring("demo", "ip", "create", isp.name, shown=False))
            self.by[isp] = found[1] if found else ""
            self.mooring("demo", "ip", "associate", self.by[isp], _GUEST, shown=False)
        self.mooring("demo", "group", "allow", "default", "--protocol", "tcp", "--port", str(ECHO), shown=False)
        self.seen({SHOP: ISP_A, ARCHIVE: ISP_A}, "who prefers nothing leaves by the first uplink")
        self.trace(ARCHIVE, f"leaves as {self.by[ISP_A]}")

    def card(self) -> str:
        """Return the guest's own address, once it has one."""
        found = re.search(r"inet ([\d.]+)/", self.quiet(self.place, "ip", "-4", "address", "show", "eth0"))
        return found[1] if found else ""

    # ------------------------------------------------------------------------------------------------- what one does

    def mooring(self, user: str, *arguments: str, shown: bool = True) -> str:
        """Run the command line as somebody."""
        return self.story.mooring(user, self.stage.environment(user), *arguments, shown=shown)

    def quiet(self, place: str, *command: str) -> str:
        """Run a command at a place without a word, and return its output."""
        done = subprocess.run(self.stage.at(place, *command), capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    def asked(self, machine: str) -> str:
        """Let the guest ask a machine outside as whom it is seen; return what it hears, nothing if nobody answers."""
        return self.quiet(self.place, "sh", "-c", f"echo | busybox nc -w 1 {OUTSIDE[machine]} {WHOAMI}").strip()

    def shown(self, machine: str) -> str:
        """Do so, and print it."""
        self.story.prompt(_GUEST, f"nc {OUTSIDE[machine]} {WHOAMI}    # {machine}: who am I?")
        said = self.asked(machine)
        self.story.output(said or "(no answer)")
        return said

    def seen(self, whom: dict[str, Isp], why: str) -> None:
        """State as whom the machines outside see the guest."""
        for machine, isp in whom.items():
            claim = f"{machine} sees {self.by[isp]}, of {isp.name}: {why}"
            self.story.holds(claim, self.shown(machine) == f"you are {self.by[isp]}")

    def trace(self, machine: str, *reasons: str) -> None:
        """Ask why the guest's packets take the way that they take, and state that the answer says these things."""
        told = self.mooring("admin", "trace", self.fixed, str(OUTSIDE[machine]), "tcp", str(WHOAMI), shown=False)
        told = _DEVICE.sub("", told)
        self.story.output("\n".join(line for line in told.splitlines() if _TOLD.search(line)))
        for reason in reasons:
            self.story.holds(f"the trace says: {reason}", reason in told)

    def wish(self, prefix: str, *ways: str) -> str:
        """Prefer something for the guest; return the preference's id."""
        said = self.mooring("demo", "egress", "prefer", prefix, "--instance", _GUEST, *ways, shown=False)
        found = re.search(r"(?m)^id +(\S+)$", said)
        made = found[1] if found else ""
        self.preferences.append(made)
        return made

    def goes_on(self, talk: Session) -> None:
        """Wait until some more bytes have come back."""
        enough = talk.heard + _SOME_BYTES
        self.story.eventually(f"{_SOME_BYTES} more bytes come back", lambda: talk.heard >= enough, _WAIT)

    def sent(self) -> dict[Isp, int]:
        """Return how many packets each provider has had of its customer."""
        told = {
            isp: json.loads(self.quiet(isp.name, "ip", "-s", "-j", "link", "show", "customer"))
            for isp in (ISP_A, ISP_B)
        }
        return {isp: int(links[0]["stats64"]["rx"]["packets"]) for isp, links in told.items()}

    # -------------------------------------------------------------------------------------------------------- ways in

    def come_in(self) -> None:
        """Both addresses answer, each by its own provider."""
        self.story.step(
            "Both addresses answer from outside, and answers leave by the provider by which the question came"
        )
        for isp, other in ((ISP_A, ISP_B), (ISP_B, ISP_A)):
            before = self.sent()
            with Session(SHOP, self.by[isp], ECHO) as talk:
                self.story.say(f"shop talks to web's echo service at {self.by[isp]}, by {isp.name}.")
                self.goes_on(talk)
            more = {each: count - before[each] for each, count in self.sent().items()}
            claim = (
                f"web's {more[isp]} packets left by {isp.name}, and none of them by {other.name} ({more[other]} else)"
            )
            self.story.holds(claim, more[isp] >= _SOME_BYTES > more[other])

    # ------------------------------------------------------------------------------------------------------- ways out

    def prefer(self) -> None:
        """Leave by one provider towards some, by the other towards others."""
        a, b = self.by[ISP_A], self.by[ISP_B]
        self.story.step("The tenant says towards where the guest leaves as whom: the longest prefix counts")
        self.wish("default", "--as", a)
        self.wish(_EVERYBODY, "--as", b)
        self.seen({SHOP: ISP_B, ARCHIVE: ISP_B}, f"{_EVERYBODY} is longer than the default")
        self.wish(_PART, "--as", a)
        self.seen({SHOP: ISP_A}, f"{_PART} is longer still")
        self.seen({ARCHIVE: ISP_B}, f"it is not in {_PART}")
        self.trace(SHOP, f"{_PART} is the longest match of what {self.fixed} prefers: uplink {ISP_A.name} as {a}")
        self.trace(
            ARCHIVE, f"{_EVERYBODY} is the longest match of what {self.fixed} prefers: uplink {ISP_B.name} as {b}"
        )
        self.story.say("The guest knows nothing of it:")
        self.story.output(routes := self.quiet(self.place, "ip", "route"))
        self.story.holds("it has one default route", routes.count("default") == 1)

    def change(self) -> None:
        """Change a preference under a running session: let it go on, or cut it."""
        a = self.by[ISP_A]
        known = self.preferences[1]
        self.story.step("A preference changes while a TCP session runs: what runs may go on, or be cut")
        with Session(self.place, str(OUTSIDE[ARCHIVE]), ECHO) as talk:
            self.story.say(f"web talks to archive, as {self.by[ISP_B]}: a byte every 20 ms.")
            self.goes_on(talk)
            self.mooring("demo", "egress", "change", known, "--as", a, "--drain", shown=False)
            self.seen({ARCHIVE: ISP_A}, "what begins now follows the change")
            self.goes_on(talk)
            self.story.holds("the session has not noticed", talk.whole)
            self.mooring("demo", "egress", "change", known, "--as", a, "--cut", shown=False)
            self.story.eventually("with --cut it has ended", lambda: not talk.whole, _WAIT)
            self.story.output(talk.error)
        self.seen({ARCHIVE: ISP_A}, "a new one begins as the change says")

    # ------------------------------------------------------------------------------------------------ a provider is away

    def fall_back(self) -> None:
        """A provider dies and comes back; there is a fallback."""
        a, b = self.by[ISP_A], self.by[ISP_B]
        self.story.step("A provider dies and comes back; the preference names another for that time")
        self.mooring(*("demo", "egress", "change", self.preferences[1]), "--as", b, "--or-as", a, shown=False)
        self.trace(ARCHIVE, f"uplink {ISP_B.name} as {b}, or else uplink {ISP_A.name} as {a}")
        self.seen({ARCHIVE: ISP_B}, "while its provider is there")
        with Session(self.place, str(OUTSIDE[ARCHIVE]), ECHO) as talk:
            self.goes_on(talk)
            self.cable(ISP_B, there=False)
            self.comes_to(ARCHIVE, ISP_A, "what begins meanwhile falls back")
            heard = talk.heard
            self.seen({SHOP: ISP_A}, "others don't notice")
            self.story.holds("the session that began before waits, as nobody else", talk.whole and talk.heard == heard)
            self.cable(ISP_B, there=True)
            self.story.eventually("it goes on when the provider is back", lambda: talk.heard > heard, _WAIT)
            talk.hush(_WAIT)
            self.story.holds("and has lost nothing", talk.whole and talk.heard == talk.sent)
        self.comes_to(ARCHIVE, ISP_B, "and what begins then leaves by it again")

    def fall_silent(self) -> None:
        """A provider's router is away, and its wire still has its carrier."""
        self.story.step(
            "A provider's router falls silent on a wire that keeps its carrier; the gateway asks it each second"
        )
        away = f"uplink {ISP_B.name} leads nowhere: {NEXT_HOP_AWAY}"
        self.story.prompt(ISP_B.name, f"ip address del {ISP_B.gateway}/{ISP_B.cidr.prefixlen} dev customer")
        began = time.monotonic()
        ISP_B.router(there=False)
        self.comes_to(ARCHIVE, ISP_A, "what begins falls back")
        self.story.say(f"It took {time.monotonic() - began:.1f} s.")
        self.trace(ARCHIVE, away, f"leaves as {self.by[ISP_A]}")
        self.story.holds("mooring host show says why", NEXT_HOP_AWAY in self.mooring("admin", "host", "show", "host-1"))
        self.story.prompt(ISP_B.name, f"ip address add {ISP_B.gateway}/{ISP_B.cidr.prefixlen} dev customer")
        ISP_B.router(there=True)
        self.comes_to(ARCHIVE, ISP_B, "it answers again, a few times in a row")

    def fail_closed(self) -> None:
        """A provider dies, and there is no fallback."""
        self.story.step(
            "Without a fallback nothing leaves while the provider is away, and nobody is shown another address"
        )
        self.mooring("demo", "egress", "change", self.preferences[1], "--as", self.by[ISP_B], shown=False)
        self.cable(ISP_B, there=False)
        self.story.eventually("archive hears nothing", lambda: not self.asked(ARCHIVE), _WAIT)
        self.story.holds("nothing at all", not self.shown(ARCHIVE))
        self.seen({SHOP: ISP_A}, "who leaves by the other provider doesn't notice")
        self.cable(ISP_B, there=True)
        self.comes_to(ARCHIVE, ISP_B, "the provider is back")

    def cable(self, isp: Isp, *, there: bool) -> None:
        """Plug a provider's cable out or in."""
        self.story.prompt(isp.name, f"ip link set customer {'up' if there else 'down'}")
        isp.cable(there=there)

    def comes_to(self, machine: str, isp: Isp, why: str) -> None:
        """State as whom a machine outside comes to see the guest."""
        right = f"you are {self.by[isp]}"
        self.story.eventually(
            f"{machine} sees {self.by[isp]}, of {isp.name}: {why}", lambda: self.asked(machine) == right, _WAIT
        )

    # -------------------------------------------------------------------------------------------------------------- end

    def end(self) -> None:
        """Take everything away."""
        self.story.step("All of it is taken away, and nothing is left")
        said = self.refused("demo", "ip", "delete", self.by[ISP_B])
        self.story.holds(
            "an address that is preferred is not given back: the refusal says by what", "preference" in said
        )
        for preference in self.preferences:
            self.mooring("demo", "egress", "delete", preference, shown=False)
        self.seen({SHOP: ISP_A, ARCHIVE: ISP_A}, "as in the beginning")
        self.mooring("demo", "instance", "delete", _GUEST, shown=False)
        for public in self.by.values():
            self.mooring("demo", "ip", "delete", public, shown=False)
        self.story.eventually("the guest is gone", lambda: not [*_NAMESPACES.glob("mooring-g-*")], _WAIT)
        self.mooring("admin", "network", "delete", "private", shown=False)
        for isp in (ISP_A, ISP_B):
            self.mooring("admin", "pool", "delete", isp.name, shown=False)
        self.story.eventually(
            "the host has the rules, set elements and links that it had in the beginning, which are none but its uplinks",
            lambda: self.kernel() == self.before,
            _WAIT,
        )

    def refused(self, user: str, *arguments: str) -> str:
        """Run the command line, which must refuse, and return what it says."""
        return self.story.mooring(user, self.stage.environment(user), *arguments, refused=True)

    def kernel(self) -> tuple[str, ...]:
        """Return what the kernel of the host has: rules, and the elements of their sets and maps; links."""
        commands = (("nft", "--stateless", "list", "ruleset"), ("ip", "-brief", "link"))
        return tuple(self.quiet(HOST, *command) for command in commands)


DEMO = Demo(
    "uplinks",
    "One guest with one network card, two providers: who sees it as whom, and why, also while a provider is away.",
    lambda keep_port, home: Crossroads(home, keep_port=keep_port),
    lambda story, stage: _Tale(story, stage).tell(),
)
