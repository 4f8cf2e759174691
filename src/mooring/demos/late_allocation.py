"""Late allocation across hosts: an address is taken by the host that runs the guest, and no process that dies loses anything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from ipaddress import IPv4Address

import httpx2

from mooring.cli.doctor import kernel
from mooring.cli.doctor.check import Finding, Verdict, carry_out
from mooring.demos.cast import Cast, Tenant
from mooring.demos.chronicle import What
from mooring.demos.hosts import Hosts
from mooring.demos.kills import Kills, Spare
from mooring.demos.story import Demo, Story, StoryFailed
from mooring.lab.client import Refused, Thing, fixed
from mooring.lab.files import ADMIN
from mooring.lab.laboratory import agent_of
from mooring.lab.plan import CONTROL, Plan, ProviderPlan, flat_gateway, flat_network
from mooring.lab.traffic import Flow, flowing
from mooring.lab.wires import FLAT_BRIDGE
from mooring.model.ids import guest_namespace
from mooring.model.nouns import NetworkKind

_VXLAN, _VLAN, _SHARED = "10.0.0.0/24", "10.1.0.0/24", "10.30.0.0/24"
_FLOW = (What.RECORDED, What.SCHEDULED, What.NETWORKS, What.ADDRESSES, What.GUEST, What.ACTIVE)
_ECHO = 7
_PORTS = 80, _ECHO
"""What guests serve: a page and an echo."""
_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Length:
    """How long the story is: on which laboratory, and whether with every kind of network and every kill, or with a few."""

    plan: Plan
    whole: bool


WHOLE = Length(Plan(hosts=4, gateways=2, uplinks=2), whole=True)
SHORT = Length(Plan(hosts=2, gateways=2, uplinks=1), whole=False)


class _Tale:
    """What happens, step by step."""

    def __init__(self, story: Story, hosts: Hosts, *, whole: bool) -> None:
        """Keep who tells and where."""
        self.story = story
        self.hosts = hosts
        self.lab = hosts.lab
        self.whole = whole
        self.cast = Cast(story, self.lab)
        self.red, self.blue = self.cast.red, self.cast.blue
        self.tenants = self.red, self.blue

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.introduce()
        self.set_up()
        self.launch_late()
        self.share_addresses("vxlan", _VXLAN)
        if self.whole:
            self.share_addresses("vlan", _VLAN)
            self.flat_dhcp()
            self.flat()
        public = self.float()
        if self.whole:
            self.move(public[0])
        self.kill(public)
        if self.whole:
            self.interrupt()
        self.leave()

    # ----------------------------------------------------------------------------------------------------- beginning

    def introduce(self) -> None:
        """Say what there is."""
        plan = self.lab.plan
        self.story.step("An installation of several hosts; each process and each wire is its own")
        rows = [(CONTROL, ", ".join(name for name in self.lab.programs if not name.startswith("agent.")))]
        rows += [
            (host.name, f"agent; compute host{' and gateway' * host.gateway} in cluster {host.cluster}")
            for host in plan.machines
        ]
        rows += [(way.name, f"provider of {way.public}; {way.outside} is beyond it") for way in plan.providers]
        self.story.output("\n".join(f"{name:<8} {what}" for name, what in rows))
        if self.whole:
            found = _vlans()
            self.story.prompt(ADMIN, "mooring doctor")
            self.story.output(f"{found.verdict:<8} {found.name}  {found.found} {found.cost}")

    def set_up(self) -> None:
        """Make pools and networks."""
        self.story.step(
            "The operator makes pools, and networks: two projects get the same addresses, and let in what their guests serve"
        )
        for provider in self.lab.plan.providers:
            self._mooring(
                *("pool", "create", f"public-{provider.letter}", "--cidr", str(provider.public)),
                *("--gateway", str(provider.gateway.ip), "--range", f"{provider.public[10]}-{provider.public[200]}"),
                *("--uplink", provider.name, "--interface", provider.interface),
            )
        for tenant in self.tenants:
            self._network(f"{tenant.name}-vxlan", _VXLAN, NetworkKind.VXLAN, "--project", tenant.name)
        self._admit()
        if not self.whole:
            return
        kind = NetworkKind.VLAN if self.lab.plan.vlans else NetworkKind.VXLAN
        if kind is not NetworkKind.VLAN:
            self.story.say("There are no VLANs on this kernel: a VXLAN stands for each, which is told in the same way.")
        for tenant in self.tenants:
            self._network(f"{tenant.name}-vlan", _VLAN, kind, "--project", tenant.name)
        self._network("shared", _SHARED, NetworkKind.FLAT_DHCP)
        for cluster in self.lab.plan.clusters:
            where = ("--bridge", FLAT_BRIDGE, "--cluster", cluster)
            self._network("flat", str(flat_network(cluster)), NetworkKind.FLAT, *where)

    def _network(self, name: str, cidr: str, kind: NetworkKind, *more: str) -> None:
        self._mooring("network", "create", name, "--cidr", cidr, "--kind", kind, *more)

    def _admit(self) -> None:
        wishes: list[Thing] = [{"protocol": "icmp"}]
        wishes += [{"protocol": "tcp", "ports": {"first": port, "last": port}} for port in _PORTS]
        for tenant in self.tenants:
            for wish in wishes:
                self.story.prompt(tenant.name, f"POST /v1/security-groups/default/rules {json.dumps(wish)}")
                tenant.client.post("security-groups/default/rules", wish)

    def _mooring(self, *arguments: str) -> None:
        self.story.mooring(ADMIN, self.hosts.environment(ADMIN), *arguments, shown=False)

    # ------------------------------------------------------------------------------------- launches on every network

    def launch_late(self) -> None:
        """Launch a guest, and look at every step."""
        self.story.step("A project launches a guest: it is answered at once, and its address is taken last")
        chronicle = self.cast.launch(self.red, "red-1", "red-vxlan", shown=True)
        home, gateway = self.cast.homes["red-1"], self.cast.gateways["red-vxlan"]
        order = tuple(dict.fromkeys(step.what for step in chronicle.steps if step.what is not What.HELD))
        self.story.holds("each step was done, one after the other", order == _FLOW)
        entry, guest = chronicle.held(gateway, "dhcp_host"), chronicle.first(What.GUEST)
        self.story.holds(
            f"gateway {gateway} had the DHCP entry before {home} started the guest",
            entry and guest and guest.host == home and entry.at < guest.at,
        )

    def share_addresses(self, kind: str, cidr: str) -> None:
        """Let guests of both projects have the same addresses, and each reach its own neighbour."""
        self.story.step(f"Both projects have {cidr} on their {kind}, across hosts, and each reaches its own guests")
        # The gateways take turns: with the other project first on its second network, each project has a router on both.
        for tenant in self.tenants if kind == "vxlan" else reversed(self.tenants):
            for name in _pair(tenant, kind):
                if name not in tenant.guests:
                    self.cast.launch(tenant, name, f"{tenant.name}-{kind}")
        reds, blues = ([tenant.address(name) for name in _pair(tenant, kind)] for tenant in self.tenants)
        self.story.holds(f"red's guests and blue's have the same addresses: {', '.join(reds)}", reds == blues)
        for tenant in self.tenants:
            near, far = _pair(tenant, kind)
            homes, target = (self.cast.homes[near], self.cast.homes[far]), tenant.address(far)
            self.story.holds(
                f"{near} and {far} are on different hosts, {homes[0]} and {homes[1]}", homes[0] != homes[1]
            )
            source = self.cast.inside(tenant, near)
            self.cast.reaches(f"{target} answers {near}'s ping", source, target)
            self._serves(f"it is {far}: the page there says so", source, target, far)

    def _serves(self, claim: str, source: Sequence[str], address: str, name: str) -> None:
        self.story.eventually(claim, lambda: f" {name}\n" in self.cast.page(source, address), _WAIT)

    def flat_dhcp(self) -> None:
        """Let both projects use one network."""
        self.story.step("FlatDHCP: one bridge for all projects, and a DHCP server on its gateway")
        for tenant in self.tenants:
            self.cast.launch(tenant, f"{tenant.name}-shared", "shared")
        source, homes = self.cast.inside(self.red, "red-shared"), self.cast.homes
        claim = f"red-shared on {homes['red-shared']} reaches blue-shared on {homes['blue-shared']}"
        self.cast.reaches(claim, source, self.blue.address("blue-shared"))

    def flat(self) -> None:
        """Launch guests on the operator's own bridges until each cluster has one."""
        self.story.step(
            "Flat: the operator's bridges and router; an address is injected, and follows the host's cluster"
        )
        found: dict[str, str] = {}
        for number in range(1, 1 + len(self.lab.plan.machines)):
            name = f"red-flat-{number}"
            chronicle = self.cast.launch(self.red, name, "flat", shown=not found)
            address, cluster = IPv4Address(self.red.address(name)), self.lab.host(self.cast.homes[name]).cluster
            guest = chronicle.first(What.GUEST)
            self.story.holds(f"{address} was injected", guest and guest.injected.startswith(f"{address}/"))
            subnet = flat_network(cluster)
            self.story.holds(f"it is of {subnet}, the network of cluster {cluster}", address in subnet)
            found.setdefault(cluster, name)
            if len(found) == len(self.lab.plan.clusters):
                break
        self.story.holds(
            f"each cluster has one: {', '.join(found.values())}", len(found) == len(self.lab.plan.clusters)
        )
        for cluster, name in found.items():
            source = self.cast.inside(self.red, name)
            self.cast.reaches(f"{name} reaches the operator's router", source, str(flat_gateway(cluster)))
        near, *far = found.values()
        for name in far:
            source = self.cast.inside(self.red, near)
            self.cast.reaches(f"and by that {name} in the other cluster", source, self.red.address(name))

    # --------------------------------------------------------------------------------------------------- floating IPs

    def float(self) -> tuple[str, str]:
        """Give a guest of each project a floating IP; return the addresses."""
        self.story.step("Floating IPs of both projects, by both gateways; they are reached from outside")
        gateways = [self.cast.gateways[f"{tenant.name}-vxlan"] for tenant in self.tenants]
        self.story.holds(f"the projects' routers are on {' and '.join(gateways)}", len(set(gateways)) == 2)
        first, last = (self._float(tenant, provider) for tenant, provider in zip(self.tenants, self.ways, strict=True))
        return first, last

    def _float(self, tenant: Tenant, provider: ProviderPlan) -> str:
        guest = tenant.guests[f"{tenant.name}-1"]
        address = tenant.client.float_to(guest["id"], f"public-{provider.letter}")
        self.story.prompt(tenant.name, f"PUT /v1/floating-ips/{address}/association {guest['name']}")
        place = self.outside(provider)
        self.cast.reaches(f"{address} answers a ping from {place}", self.lab.at(place), address)
        self._serves(f"the page there is {guest['name']}'s", self.lab.at(place), address, guest["name"])
        return address

    @property
    def ways(self) -> tuple[ProviderPlan, ProviderPlan]:
        """Return by which provider each project is reached."""
        return self.lab.plan.providers[0], self.lab.plan.providers[-1]

    def outside(self, provider: ProviderPlan) -> str:
        """Return from where addresses of a provider are reached: what is beyond a second one is not routed back there."""
        return provider.name if provider.number else provider.outside

    def move(self, address: str) -> None:
        """Move an address to a guest whose router is on another gateway, and back."""
        gateways = {"red-1": self.cast.gateways["red-vxlan"], "red-vlan-1": self.cast.gateways["red-vlan"]}
        self.story.step("A floating IP moves to a guest behind the other gateway, and back, under traffic")
        self.story.holds(f"the routers are on {' and '.join(gateways.values())}", len(set(gateways.values())) == 2)
        source = self.lab.at(self.outside(self.ways[0]))
        with flowing(Flow("ping", source, address, interval=0.01)) as traffic:
            for name in reversed(gateways):
                self.story.prompt(self.red.name, f"PUT /v1/floating-ips/{address}/association {name}")
                path = f"floating-ips/{address}/association"
                self.red.client.put(path, {"instance": self.red.guests[name]["id"]})
                self._serves(f"the page there is {name}'s, by gateway {gateways[name]}", source, address, name)
        self.story.output(str(traffic))
        self.story.say("What is lost is the time between: the new gateway answers only once the old one has let go.")

    # ---------------------------------------------------------------------------------------------------------- kills

    def kill(self, public: tuple[str, str]) -> None:
        """Kill everything under traffic."""
        self.story.step("kill -9 of every process, under 500 packets a second each way and a TCP session")
        sources = [self.lab.at(self.outside(provider)) for provider in self.ways]
        between = self.cast.inside(self.red, "red-1")
        flows = [
            Flow("to red's floating IP", sources[0], public[0]),
            Flow("to blue's floating IP", sources[1], public[1]),
            Flow("from host to host", between, self.red.address("red-2")),
            Flow("TCP session with red's", sources[0], public[0], port=_ECHO),
        ]
        address = str(self.red.client.post("floating-ips", {"pool": f"public-{self.ways[0].letter}"})["address"])
        spare = Spare(self.red.client, self.red.guests["red-2"], address, sources[0])
        homes = self.cast.gateways["red-vxlan"], self.cast.homes["red-2"]
        Kills(self.story, self.lab, spare).tell(flows, homes, thorough=self.whole)

    def interrupt(self) -> None:
        """Kill who is in the middle of a launch."""
        self.story.step("kill -9 of the controller and of the host's agent in the middle of a launch: it goes on")
        made = self.cast.ask(self.red, "red-late", "red-vxlan")
        scheduled = lambda: self.cast.admin.get(f"instances/{made['id']}")["host"] is not None  # noqa: E731 - one expression
        self.story.eventually("it is scheduled", scheduled, _WAIT)
        home = self.lab.host(str(self.cast.admin.get(f"instances/{made['id']}")["host"])).name
        for name in ("controller", agent_of(home)):
            program = self.lab.programs[name]
            self.story.prompt(program.machine.name, f"kill -9 {program.pid}  # {name}")
            program.kill()
        self.lab.restart("controller", agent_of(home))
        self.cast.await_launch(self.red, made, shown=True, wait=2 * _WAIT)
        nics = self.red.guests["red-late"]["nics"]
        self.story.holds("it has one address, and not two", [len(nic["fixed"]) for nic in nics] == [1])
        there = [host.name for host in self.lab.plan.machines if guest_namespace(made["id"]) in self.places(host.name)]
        self.story.holds(f"it is on one host: {', '.join(there)}", there == [self.cast.homes["red-late"]])

    # ------------------------------------------------------------------------------------------------------------ end

    def places(self, host: str) -> Sequence[str]:
        """Return the named namespaces of a host: guests and routers."""
        return self.lab.run(self.lab.at(host, "ls", "/run/netns")).split()

    def leave(self) -> None:
        """Let one project go."""
        self.story.step(
            "A project's guests go: nothing of them is left on any host, and their addresses are free again"
        )
        address, gone = self.blue.address("blue-1"), dict(self.blue.guests)
        for name, guest in gone.items():
            self.story.prompt(self.blue.name, f"DELETE /v1/instances/{name}")
            self.blue.client.delete(f"instances/{guest['id']}")
        self.blue.guests.clear()
        self.story.eventually("they are gone", lambda: not self.blue.client.all("instances"), _WAIT)
        there = {place for host in self.lab.plan.machines for place in self.places(host.name)}
        left = [name for name, guest in gone.items() if guest_namespace(guest["id"]) in there]
        self.story.holds("no host has a guest of them", not left)
        made = self.cast.ask(self.blue, "blue-again", "blue-vxlan", address)
        self.cast.await_launch(self.blue, made)
        self.story.holds(f"{address} was free to be chosen", fixed(self.blue.guests["blue-again"]) == address)
        self.story.eventually("every host holds all that it should", partial(self._settled), _WAIT)

    def _settled(self) -> bool:
        return not self.lab.settled(self.cast.admin, timeout=0)


@cache
def _vlans() -> Finding:
    """Return what doctor finds of VLANs on this kernel."""
    return carry_out(next(check for check in kernel.checks() if check.name == kernel.VLANS))


def _pair(tenant: Tenant, kind: str) -> tuple[str, str]:
    """Return the names of a project's guests on its network of a kind."""
    stem = tenant.name if kind == "vxlan" else f"{tenant.name}-{kind}"
    return f"{stem}-1", f"{stem}-2"


def _tell(story: Story, hosts: Hosts, length: Length) -> None:
    """Tell it; where it ends too early, with what the processes have said, for their logs go with it."""
    try:
        _Tale(story, hosts, whole=length.whole).tell()
    except StoryFailed:
        story.output(hosts.last_words())
        raise
    except (Refused, httpx2.TransportError) as error:
        story.output(hosts.last_words())
        raise StoryFailed(f"the API does as it is asked: {error}") from error


def of(length: Length) -> Demo[Hosts]:
    """Return the story in one of its lengths."""
    return Demo(
        "late-allocation",
        "Several hosts, two projects with the same addresses, each taken last; then every process is killed.",
        lambda keep_port, home: Hosts(
            replace(length.plan, vlans=length.whole and _vlans().verdict is Verdict.OK), home, keep_port=keep_port
        ),
        lambda story, hosts: _tell(story, hosts, length),
    )
