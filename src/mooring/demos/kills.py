"""kill -9 of every process under traffic: no packet is lost, and what was acknowledged is true."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2

from mooring.demos.story import Story, StoryFailed
from mooring.lab.client import Client, Refused, Thing
from mooring.lab.laboratory import Laboratory, agent_of
from mooring.lab.traffic import Flow, flowing

_PATIENCE = 60.0
_POLL = 0.2


@dataclass(slots=True)
class Spare:
    """A floating IP that comes to a guest and goes again; `source` begins a command that runs from where it is to be reached."""

    client: Client
    guest: Thing
    address: str
    source: Sequence[str]
    on: bool = False

    def turn(self) -> bool:
        """Ask for the other state, and say whether that was acknowledged; to be asked again if not."""
        path = f"floating-ips/{self.address}/association"
        try:
            if self.on:
                self.client.delete(path)
            else:
                self.client.put(path, {"instance": self.guest["id"]})
        except httpx2.TransportError:
            return False
        except Refused as refused:
            # A call that was not answered may have done it all the same: then there is nothing left to take away.
            gone = refused.status == 404 and self.on
            if refused.status < 500 and not gone:
                raise
            if not gone:
                return False
        self.on = not self.on
        return True


class Kills:
    """Who kills, and calls meanwhile."""

    def __init__(self, story: Story, lab: Laboratory, spare: Spare) -> None:
        """Keep who tells, where, and what is called about."""
        self.story = story
        self.lab = lab
        self.spare = spare

    def tell(self, flows: Sequence[Flow], homes: tuple[str, str], *, thorough: bool) -> None:
        """Kill what serves, by twos, or `thorough` each alone and then all there is at once; `homes` are a gateway and a compute host."""
        agents = tuple(agent_of(host) for host in dict.fromkeys(homes))
        twos = [("api", "controller"), agents, ("nats", "postgresql")]
        alone = [(name,) for names in twos for name in names]
        with flowing(*flows) as traffic:
            for names in alone if thorough else twos:
                self.kill(*names)
            self.kill_dnsmasq(homes[0])
            if thorough:
                self.story.say("And now every process at once, on every host:")
                self.kill(*self.lab.programs)
        self.story.output(str(traffic))
        sent = sum(count.sent for count in traffic.counts)
        self.story.holds(f"0 of {sent} answers were lost, and no session ended", traffic.whole)

    def kill(self, *names: str) -> None:
        """Kill programs, start them again, and see that they do their work."""
        for name in names:
            program = self.lab.programs[name]
            self.story.prompt(program.machine.name, f"kill -9 {program.pid}  # {name}")
            program.kill()
        self.lab.restart(*names)
        deadline = time.monotonic() + _PATIENCE
        while not self.spare.turn():
            if time.monotonic() > deadline:
                raise StoryFailed(f"a call about {self.spare.address} is acknowledged within {_PATIENCE:g} s")
            time.sleep(_POLL)
        self._check()

    def _check(self) -> None:
        """Look whether what was acknowledged last is so."""
        spare = self.spare
        shown = next(each for each in spare.client.all("floating-ips") if each["address"] == spare.address)
        where = f"on {spare.guest['name']}, and answers" if spare.on else "on no guest, and does not answer"
        self.story.holds("started again; a call is acknowledged", bool(shown["association"]) is spare.on)
        self.story.eventually(
            f"and true: {spare.address} is {where}",
            lambda: self.lab.answers(spare.source, spare.address, wait=0.3) is spare.on,
            _PATIENCE,
        )

    def kill_dnsmasq(self, gateway: str) -> None:
        """Kill the DHCP servers of a gateway; its agent starts them again."""
        before = self._dnsmasqs(gateway)
        self.story.prompt(gateway, f"kill -9 {' '.join(before)}  # dnsmasq")
        self.lab.run(self.lab.at(gateway, "kill", "-9", *before))

        def back() -> bool:
            now = self._dnsmasqs(gateway)
            return len(now) == len(before) and not set(now) & set(before)

        self.story.eventually("its agent has started them again", back, _PATIENCE)

    def _dnsmasqs(self, host: str) -> list[str]:
        return self.lab.run(self.lab.at(host, "pgrep", "-x", "dnsmasq")).split()
