"""A laboratory with guests on several hosts, and traffic between them."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mooring.lab.client import Thing, fixed
from mooring.lab.laboratory import Laboratory
from mooring.lab.plan import CONTROL, NATS_PORT
from mooring.lab.traffic import LINE_INTERVAL, Flow
from mooring.model.ids import RouterId, router_namespace
from tests.journeys import relay
from tests.journeys.town import eventually

ECHO, FORWARDED = 7, 2007
ALLOWED = "10.9.0.250"
MISSES = 5
"""So many unanswered questions, one a second, and a next hop is away."""


class Field:
    """Three guests of project red on three hosts, on a VXLAN whose router is on one of two gateways.

    The third has a floating IP, a port of another leads to the second, which leaves by the second provider towards what is behind that; and
    the first may use an address beside its own.
    """

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab
        self._homes: dict[str, str] = {}
        self.admin = lab.client("admin")
        self.red = lab.client("red")
        for provider in lab.plan.providers:
            self.pool(provider.letter)
        self.red.post("security-groups/default/rules", {})
        self.network = self.make_network("red-net", "10.9.0.0/24")
        self.guests = [self.boot(f"red-{number}") for number in range(3)]
        self.public = self.red.float_to(self.guests[2]["id"], "public-a")
        self.outside = self.lab.at("outside-a")
        self.forwarded = self._more()
        eventually(lambda: self.lab.answers(self.outside, self.public))

    def _more(self) -> str:
        """Set up what else packets go by; return the address of which a port is forwarded."""
        first, second, _ = self.guests
        self.red.post(f"nics/{first['id']}/allowed-addresses", {"addresses": [ALLOWED]})
        self.lab.run(self.inside(first, "ip", "address", "add", f"{ALLOWED}/24", "dev", "eth0"))
        for provider in self.lab.plan.providers:
            self.admin.put(f"uplinks/{provider.name}", {"misses": MISSES})
        way = {"prefix": str(self.lab.plan.providers[1].far.network), "leave_as": {"pool": "public-b"}}
        self.red.post("egress-preferences", {**way, "instance": second["id"]})
        forwarded = str(self.red.post("floating-ips", {"pool": "public-a"})["address"])
        wish = {"floating_ip": forwarded, "protocol": "tcp", "external_port": FORWARDED, "internal_port": ECHO}
        self.red.post("port-forwardings", {**wish, "instance": second["id"]})
        return forwarded

    def pool(self, letter: str) -> None:
        """Make the pool of a provider's addresses."""
        provider = next(known for known in self.lab.plan.providers if known.letter == letter)
        wish = {
            "name": f"public-{letter}",
            "cidr": str(provider.public),
            "gateway": str(provider.gateway.ip),
            "ranges": [{"first": str(provider.public[10]), "last": str(provider.public[200])}],
            "uplink": provider.name,
            "interface": provider.interface,
        }
        self.admin.post("pools", wish)

    def make_network(self, name: str, cidr: str) -> Thing:
        """Make a VXLAN of project red."""
        return self.admin.post("networks", {"name": name, "cidr": cidr, "kind": "vxlan", "project": "red"})

    def boot(self, name: str, network: str = "red-net", wait: float = 60.0) -> Thing:
        """Start a guest, and wait until it has taken its address."""
        guest = self.red.boot(name, network, wait=wait)
        self.await_address(guest)
        return guest

    def await_address(self, guest: Thing) -> None:
        """Wait until a guest has taken its address."""
        show = self.inside(guest, "ip", "-4", "address", "show", "eth0")
        eventually(lambda: fixed(guest) in self.lab.run(show), timeout=20)

    def host_of(self, guest: Thing) -> str:
        """Return the name of the host that a guest is on; of one that runs, it is remembered."""
        if guest["id"] in self._homes:
            return self._homes[guest["id"]]
        shown = self.admin.get(f"instances/{guest['id']}")
        name = self.lab.host(shown["host"]).name
        if shown["state"] == "active":
            self._homes[guest["id"]] = name
        return name

    def inside(self, guest: Thing, *command: str) -> tuple[str, ...]:
        """Return a command that runs in a guest's network."""
        return (*self.lab.in_guest(self.host_of(guest), guest["id"], *command),)

    @property
    def gateway(self) -> str:
        """Return the host that has red's router."""
        return self.gateway_of(self.network)

    def gateway_of(self, network: Thing) -> str:
        """Return the host that has a network's router."""
        namespace = router_namespace(RouterId(network["router"]))
        have = [host for host in self._hosts_on() if namespace in self.names_at(host).split()]
        assert len(have) == 1, have
        return have[0]

    def _hosts_on(self) -> Sequence[str]:
        return [host.name for host in self.lab.plan.machines if self.lab.machines[host.name].on]

    def names_at(self, host: str) -> str:
        """Return the names of all namespaces, links and nft tables of a host."""
        return self.lab.run(self.lab.machines[host].enter("sh", "-c", "ls /run/netns; ip -o link; nft list tables"))

    def dnsmasqs(self) -> Sequence[int]:
        """Return the DHCP servers of red's gateway, by their numbers there."""
        return [
            int(pid) for pid in self.lab.run(self.lab.machines[self.gateway].enter("pgrep", "-x", "dnsmasq")).split()
        ]

    def flows(self) -> list[Flow]:
        """Return 500 packets a second in, out and between hosts, and a session at 50 Hz from outside; what else there is, at 50 Hz."""
        near, far = self.guests[1], self.guests[2]
        beyond, elsewhere = (str(provider.outside_address.ip) for provider in self.lab.plan.providers)
        return [
            Flow("in", self.outside, self.public),
            Flow("out", self.inside(near), beyond),
            Flow("between hosts", self.inside(near), fixed(far)),
            Flow("session", self.outside, self.public, port=ECHO),
            Flow("session to a forwarded port", self.outside, self.forwarded, port=FORWARDED),
            Flow("out by preference", self.inside(near), elsewhere, interval=LINE_INTERVAL),
            Flow("to an allowed address", self.inside(near), ALLOWED, interval=LINE_INTERVAL),
        ]

    def sound(self) -> None:
        """Every program runs again, and every host holds what it should and has no trouble."""
        eventually(self.revived, timeout=60)
        behind = self.lab.settled(self.admin)
        assert not behind, self.last_words()
        assert not [
            trouble
            for host in self.admin.all("hosts")
            for trouble in self.admin.get(f"hosts/{host['name']}")["trouble"]
        ]

    def revived(self) -> bool:
        """Start what has ended, as a host's init does, and say whether everything does its work."""
        self.lab.revive()
        # The API's way to the bus comes back a moment later, and until then it answers 503.
        return all(program.ready for program in self.lab.programs.values()) and self.admin.ready()

    def last_words(self) -> str:
        """Return the ends of all logs."""
        ends: list[str] = []
        for log in sorted(self.lab.place.logs.glob("*.log")):
            lines = [line for line in Path(log).read_text().splitlines() if '"level": "info"' not in line]
            ends += [f"--- {log.name}", *lines[-15:]]
        return "\n".join(ends)


_RELAY_PORT = 4333
_RELAY_RULES = """
table ip lab_relay {{
    chain in {{ type nat hook prerouting priority dstnat; tcp dport {port} redirect to :{relay}; }}
    chain out {{ type nat hook output priority -100; meta mark != {mark} ip daddr {bus} tcp dport {port} dnat to {bus}:{relay}; }}
}}
"""
_NO_RELAY = "table ip lab_relay\ndelete table ip lab_relay\n"


class Relaying:
    """The bus by way of a relay that loses, repeats and delays messages until it is told to be honest."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.did: Mapping[str, int] = {}

    def be_honest(self) -> None:
        """From now on, every message is delivered at once and in its turn."""
        assert self._process.stdin is not None
        self._process.stdin.write("honest\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Cut all connections, and count."""
        said, _ = self._process.communicate(timeout=30)
        self.did = json.loads(said)


@contextmanager
def relayed(field: Field, seed: int) -> Generator[Relaying]:
    """Lead everybody's connection to the bus through a relay, as long as the block lasts."""
    lab = field.lab
    control = lab.machines[CONTROL]
    bus = str(lab.plan.control.ip)
    rules = _RELAY_RULES.format(port=NATS_PORT, relay=_RELAY_PORT, bus=bus, mark=relay.MARK)
    command = (sys.executable, str(relay.__file__), str(_RELAY_PORT), bus, str(NATS_PORT), str(seed))
    with subprocess.Popen(control.enter(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            lab.nft(CONTROL, rules)
            # Who is connected stays so; after this all look for the server anew.
            lab.programs["nats"].kill()
            field.sound()
            relaying = Relaying(process)
            yield relaying
            lab.nft(CONTROL, _NO_RELAY)
            relaying.end()
        finally:
            lab.nft(CONTROL, _NO_RELAY)
            process.kill()
