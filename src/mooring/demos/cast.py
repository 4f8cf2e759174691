"""Who is in a story of several hosts: projects, their guests, where those are, and how their launches went."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from mooring.demos.chronicle import Chronicle, What, read
from mooring.demos.story import Story
from mooring.lab.client import Client, Thing, fixed
from mooring.lab.files import ADMIN, TENANTS
from mooring.lab.laboratory import Laboratory

_WAIT = 30.0
_FETCH = ("busybox", "wget", "-q", "-O", "-")


@dataclass(slots=True)
class Tenant:
    """A project, and its guests by their names."""

    name: str
    client: Client
    guests: dict[str, Thing] = field(default_factory=dict[str, Thing])

    def address(self, name: str) -> str:
        """Return the fixed IP of a guest."""
        return fixed(self.guests[name])


class Cast:
    """The projects, and what is known of their guests."""

    def __init__(self, story: Story, lab: Laboratory) -> None:
        """Keep who tells, and where; `homes` are hosts by guests' names, `gateways` hosts of routers by networks' names."""
        self.story = story
        self.lab = lab
        self.admin = lab.client(ADMIN)
        self.red, self.blue = (Tenant(name, lab.client(name)) for name in TENANTS)
        self.homes: dict[str, str] = {}
        self.gateways: dict[str, str] = {}

    def ask(self, tenant: Tenant, name: str, network: str, address: str | None = None) -> Thing:
        """Ask for a guest, and look at the answer."""
        nic = {"network": network} | ({"fixed_ip": address} if address else {})
        wish = {"name": name, "image": "web", "flavor": "m1.tiny", "networks": [nic]}
        self.story.prompt(tenant.name, f"POST /v1/instances {json.dumps(wish)}")
        made = tenant.client.post("instances", wish)
        self.story.output(f"202: {made['id']}, state {made['state']}, addresses {made['nics'][0]['fixed']}")
        return made

    def launch(self, tenant: Tenant, name: str, network: str, *, shown: bool = False) -> Chronicle:
        """Launch a guest on a network, and wait until it has put its address on; with `shown` print each step."""
        made = self.ask(tenant, name, network)
        self.story.holds(f"{name} is answered at once, without an address", not fixed(made))
        return self.await_launch(tenant, made, shown=shown)

    def await_launch(self, tenant: Tenant, made: Thing, *, shown: bool = False, wait: float = 60.0) -> Chronicle:
        """Wait until a guest that was asked for has put its address on; with `shown` print each step of its launch."""
        name = str(made["name"])
        guest = tenant.guests[name] = tenant.client.settled(made["id"], wait)
        self.homes[name] = self.lab.host(str(self.admin.get(f"instances/{made['id']}")["host"])).name
        logs, names = self.lab.place.logs, self.lab.ids()
        if shown:
            # It is logged after it is so.
            over = lambda: read(logs, guest["id"], names).over  # noqa: E731 - one expression
            self.story.eventually(
                "its launch came to its end; this is what the processes' logs say of it:", over, _WAIT
            )
        chronicle = read(logs, guest["id"], names)
        if shown:
            self.story.output(str(chronicle))
        networks = chronicle.first(What.NETWORKS)
        self.gateways.update(networks.gateways if networks else {})
        show = self.inside(tenant, name, "ip", "-4", "address", "show", "eth0")
        self.story.eventually(
            f"{name} runs on {self.homes[name]}, and its network card has {fixed(guest)}",
            lambda: f" {fixed(guest)}/" in self.lab.run(show),
            _WAIT,
        )
        return chronicle

    def inside(self, tenant: Tenant, name: str, *command: str) -> Sequence[str]:
        """Return a command that runs in a guest's network."""
        return self.lab.in_guest(self.homes[name], tenant.guests[name]["id"], *command)

    def page(self, source: Sequence[str], address: str) -> str:
        """Fetch the page at an address; `source` is the beginning of a command."""
        return self.lab.run([*source, *_FETCH, f"http://{address}/"])

    def reaches(self, claim: str, source: Sequence[str], address: str) -> None:
        """State that an address answers a ping."""
        self.story.eventually(claim, lambda: self.lab.answers(source, address), _WAIT)
