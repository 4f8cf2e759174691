"""The draft of 2011 for floating IPs, told by four clients of four times on one server: each does its part, all see the same."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

import openstack

from mooring.demos import clients, old_nova
from mooring.demos.essex import XmlClient, element
from mooring.demos.old_nova import OldNova
from mooring.demos.stage import OUTSIDE, PUBLIC, UPLINK_INTERFACE, Stage
from mooring.demos.story import Demo, Story, StoryFailed
from mooring.model.ids import InstanceId, guest_namespace

_USER = "demo"
_WAIT = 30.0
_COMMAND = Path(sys.executable).with_name("openstack")


class _Tale:
    """The story's characters: one tenant with four clients, two guests, and an address."""

    def __init__(self, story: Story, stage: Stage, nova: OldNova) -> None:
        """Log in with all of them."""
        self.story = story
        self.stage = stage
        self.nova = nova
        environment = stage.environment(_USER)
        self.draft = XmlClient(environment, "v1.1")
        # What it returns has no types.
        self.sdk: Any = openstack.connect(
            auth=clients.login(environment), region_name="RegionOne", load_yaml_config=False, load_envvars=False
        )
        self.address = ""
        self.web1: dict[str, Any] = {}
        self.web2: Any = None

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.set_up()
        self.command()
        self.today()
        self.yesterday()
        self.on_paper()
        self.end()

    def set_up(self) -> None:
        """Make a network and a pool."""
        self.story.step("The operator makes a guest network and a pool of public addresses")
        admin = self.stage.environment("admin")
        self.story.mooring("admin", admin, "network", "create", "private", "--cidr", "10.0.0.0/24", shown=False)
        self.story.mooring(
            "admin",
            admin,
            *("pool", "create", "public", "--cidr", str(PUBLIC), "--gateway", "198.51.100.1"),
            *("--range", "198.51.100.10-198.51.100.250", "--uplink", "isp-a", "--interface", UPLINK_INTERFACE),
            shown=False,
        )

    # ----------------------------------------------------------------------------------------------- what one sees

    def openstack(self, *arguments: str) -> str:
        """Run the openstack command as the tenant, and return what it wrote."""
        environment = {**self.stage.environment(_USER), "OS_REGION_NAME": "RegionOne", "PATH": "/usr/bin:/bin"}
        self.story.prompt(_USER, " ".join(("openstack", *arguments)))
        done = subprocess.run(
            [str(_COMMAND), *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        if done.returncode:
            self.story.output(done.stdout + done.stderr)
        self.story.holds("the command succeeded", done.returncode == 0)
        return done.stdout

    def shown(self, *arguments: str) -> Any:
        """Run the openstack command, and return what it shows."""
        return json.loads(self.openstack(*arguments, "-f", "json"))

    def pinged(self) -> bool:
        """Say whether the floating IP answers a ping from outside."""
        command = ("ping", "-c", "1", "-W", "1", "-q", self.address)
        return ", 1 received" in self.story.run(self.stage.at(OUTSIDE, *command), prompt="outside")

    def page(self) -> str:
        """Fetch the page at the floating IP from outside."""
        command = ("timeout", "2", "busybox", "wget", "-q", "-O", "-", f"http://{self.address}/")
        return self.story.run(self.stage.at(OUTSIDE, *command), prompt="outside")

    def on(self, guest: str, other: str) -> None:
        """Claim that the address leads to a guest, and not to another."""
        self.story.holds(f"{self.address} answers a ping from outside", self.pinged())
        page = self.page()
        self.story.holds(f"and its page is {guest}'s", guest in page and other not in page)

    def nowhere(self) -> None:
        """Claim that the address leads nowhere."""
        self.story.holds(f"{self.address} does not answer", not self.pinged())

    def boots(self, server: str) -> None:
        """Wait until a guest has taken its address."""
        command = self.stage.at(guest_namespace(InstanceId(server)), "ip", "-4", "-o", "address", "show", "eth0")

        def has_address() -> bool:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
            return "inet 10.0.0." in done.stdout

        self.story.eventually("the guest has its address by DHCP", has_address, _WAIT)

    # ------------------------------------------------------------------------------------------------ the four of them

    def command(self) -> None:
        """Today's command, which knows Neutron only."""
        self.story.step("`openstack`, as it is installed today: Eldar boots a guest and gives it an additional address")
        for rule in (("--protocol", "icmp"), ("--protocol", "tcp", "--dst-port", "80")):
            self.openstack("security", "group", "rule", "create", *rule, "default")
        self.web1 = self.shown(
            *("server", "create", "--image", "web", "--flavor", "m1.tiny", "--network", "private", "--wait", "web-1")
        )
        self.boots(self.web1["id"])
        self.address = self.shown("floating", "ip", "create", "public")["floating_ip_address"]
        self.nowhere()
        self.openstack("server", "add", "floating", "ip", "web-1", self.address)
        self.on("web-1", "web-2")
        networks = self.shown("server", "show", "web-1")["addresses"]
        self.story.output(f"addresses: {networks}")
        self.story.holds("the server's details tell of it", self.address in networks["private"])

    def today(self) -> None:
        """Today's library, which finds the port that it wants."""
        self.story.step("openstacksdk moves it to a second guest, by Neutron's ports")
        self.story.call("web_2 = sdk.create_server('web-2', image='web', flavor='m1.tiny', wait=True, auto_ip=False)")
        self.web2 = self.sdk.create_server("web-2", image="web", flavor="m1.tiny", wait=True, auto_ip=False, timeout=60)
        self.boots(self.web2.id)
        (port,) = self.sdk.network.ports(device_id=self.web2.id)
        found = self.sdk.network.find_ip(self.address)
        self.story.call("sdk.network.update_ip(address, port_id=port.id)")
        moved = self.sdk.network.update_ip(found, port_id=port.id)
        self.story.holds("the answer names the second guest's port", moved.port_id == port.id)
        self.on("web-2", "web-1")

    def yesterday(self) -> None:
        """The library of 2014, which logs in by Keystone v2.0 and knows nova's os-floating-ips."""
        self.story.step("python-novaclient 2.18.1 of 2014, by Keystone v2.0, sees the same address and moves it back")
        floating = self.old("floating_ips.list")
        (known,) = [each for each in floating if each["ip"] == self.address]
        self.story.output(f"{known['ip']} of pool {known['pool']}, on {known['instance_id']}")
        self.story.holds("it is on the second guest", known["instance_id"] == self.web2.id)
        self.old("servers.remove_floating_ip", self.web2.id, self.address)
        self.nowhere()
        self.old("servers.add_floating_ip", self.web1["id"], self.address)
        self.on("web-1", "web-2")

    def old(self, method: str, *arguments: object) -> Any:
        """Call the old client."""
        self.story.call(f"nova.{method}({', '.join(map(repr, arguments))})")
        return self.nova(method, *arguments)

    def on_paper(self) -> None:
        """A client that speaks XML, as the draft had it."""
        self.story.step(
            "A client in XML does what the draft says: list, details, disassociate, associate, allocate, release"
        )
        (found,) = self.xml("/os-floating-ips")
        self.story.holds("it sees the same address", found.findtext("ip") == self.address)
        path = f"/os-floating-ips/{found.findtext('id')}"
        self.asks("POST", f"{path}/removeFloatingIp")
        self.nowhere()
        details = self.xml(path)
        self.story.holds("it is on no fixed IP", details.findtext("fixed_ip") == "null")
        fixed = next(iter(self.sdk.get_server(self.web2.id).addresses["private"]))["addr"]
        self.asks("POST", f"{path}/addFloatingIp", element("associate_address", fixed_ip=fixed))
        self.on("web-2", "web-1")
        details = self.xml(path)
        told = details.findtext("instance_id"), details.findtext("fixed_ip")
        self.story.holds("its details name the fixed IP and the guest", told == (self.web2.id, fixed))
        self.asks("DELETE", path)
        self.nowhere()
        self.asks("POST", "/os-floating-ips")
        (found,) = self.xml("/os-floating-ips")
        self.story.holds("another one is allocated", found.findtext("ip") not in (None, self.address))
        self.asks("DELETE", f"/os-floating-ips/{found.findtext('id')}")

    def xml(self, path: str) -> Element:
        """Read a document in XML."""
        self.story.call(f"GET /v1.1/{{project}}{path}")
        document = self.draft.read(path)
        self.story.output(tostring(document, encoding="unicode"))
        return document

    def asks(self, method: str, path: str, document: Element | None = None) -> None:
        """Send a request, with a document in XML or none."""
        said = "" if document is None else f"  {tostring(document, encoding='unicode')}"
        self.story.call(f"{method} /v1.1/{{project}}{path}{said}")
        self.draft.text(method, path, document)

    def end(self) -> None:
        """See that it is gone for everybody."""
        self.story.step("It is gone, for all four of them")
        self.story.holds("for the openstack command", not self.shown("floating", "ip", "list"))
        self.story.holds("for openstacksdk", not list(self.sdk.network.ips()))
        self.story.holds("for the old novaclient", not self.old("floating_ips.list"))
        self.story.holds("and in XML", not list(self.xml("/os-floating-ips")))
        for server in (self.web1["id"], self.web2.id):
            self.old("servers.delete", server)
        self.story.eventually("the guests are gone", partial(self._no_guests), _WAIT)

    def _no_guests(self) -> bool:
        return not self.nova("servers.list")


def _tell(story: Story, stage: Stage) -> None:
    if not old_nova.PYTHON.exists():
        raise StoryFailed("the old novaclient is installed; `scripts/setup clients` does that")
    with OldNova(stage.environment(_USER)) as nova:
        _Tale(story, stage, nova).tell()


DEMO = Demo(
    "openstack",
    "One floating IP and four clients: the openstack command, openstacksdk, novaclient of 2014, and XML by hand.",
    lambda keep_port, home: Stage(home, keep_port=keep_port),
    _tell,
)
