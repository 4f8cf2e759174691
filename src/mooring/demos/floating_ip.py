"""The main job: a floating IP that answers, moves under traffic, and is gone when it is taken away."""

import re
import shlex
import subprocess
import sys
from functools import partial
from typing import Any

import openstack

from mooring.demos import clients
from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS, PUBLIC, UPLINK_INTERFACE, Stage
from mooring.demos.story import Demo, Story

_PING_INTERVAL = 0.01
_PINGS = 400
_LOST_AT_MOST = 5


class _Tale:
    """The story's characters: the clients of a tenant, two guests and an address."""

    def __init__(self, story: Story, stage: Stage) -> None:
        """Keep who tells and where."""
        self.story = story
        self.stage = stage
        self.address = ""
        # What the clients return has no types.
        self.cloud: Any = None
        self.nova: Any = None
        self.web1: Any = None
        self.web2: Any = None

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.set_up()
        self.cloud, self.nova = _openstack(self.stage), clients.nova(self.stage.environment("demo"))
        self.admit()
        self.boot()
        self.associate()
        self.reach()
        self.leave()
        self.move()
        self.end()

    def set_up(self) -> None:
        """Make a network and a pool."""
        self.story.step("The operator makes a guest network and a pool of public addresses on the uplink")
        self.mooring("network", "create", "private", "--cidr", "10.0.0.0/24")
        self.mooring(
            *("pool", "create", "public", "--cidr", str(PUBLIC), "--gateway", "198.51.100.1"),
            *("--range", "198.51.100.10-198.51.100.250", "--uplink", "isp-a", "--interface", UPLINK_INTERFACE),
        )

    def mooring(self, *arguments: str) -> str:
        """Run the command line as the operator."""
        return self.story.mooring("admin", self.stage.environment("admin"), *arguments)

    def admit(self) -> None:
        """Let the outside reach the tenant's guests."""
        self.story.step("A tenant lets the outside ping its guests and read their pages; nothing else comes in")
        self.story.call("group = nova.security_groups.find(name='default')")
        group = self.nova.security_groups.find(name="default")
        for protocol, first, last in (("icmp", -1, -1), ("tcp", 80, 80)):
            self.story.call(f"nova.security_group_rules.create(group.id, {protocol!r}, {first}, {last}, '0.0.0.0/0')")
            rule = self.nova.security_group_rules.create(group.id, protocol, first, last, "0.0.0.0/0")
            self.story.holds(f"{protocol} has a rule", rule.ip_protocol == protocol)

    def boot(self) -> None:
        """Start two guests."""
        self.story.step("It boots two guests with openstacksdk; they get their address by DHCP")
        servers: list[Any] = []
        for name in ("web-1", "web-2"):
            self.story.call(f"cloud.create_server({name!r}, image='web', flavor='m1.tiny', wait=True, auto_ip=False)")
            server = self.cloud.create_server(name, image="web", flavor="m1.tiny", wait=True, auto_ip=False, timeout=60)
            servers.append(server)
            self.story.output(f"{server.name}: {server.status} {_fixed(server)}")
            self.story.holds(f"{name} is active with a fixed address", server.status == "ACTIVE" and _fixed(server))
        self.web1, self.web2 = servers
        for server in servers:
            self.story.eventually(
                f"{server.name} has taken {_fixed(server)} from the network's DHCP server",
                partial(self.has_address, server),
                timeout=20,
            )
            self.story.output(self.addresses(server))

    def has_address(self, server: Any) -> bool:
        """Say whether a guest's network card has the address that the server's details show."""
        return _fixed(server) in self.addresses(server)

    def addresses(self, server: Any) -> str:
        """Return what a guest's kernel says of its network card."""
        command = self.stage.at(f"mooring-g-{server.id}", "ip", "-brief", "-4", "address", "show", "eth0")
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout

    def associate(self) -> None:
        """Allocate a floating IP and put it on the first guest."""
        self.story.step("The tenant allocates a floating IP and associates it, with python-novaclient")
        self.story.call("nova.floating_ips.create(pool='public')")
        floating = self.nova.floating_ips.create(pool="public")
        self.address = str(floating.ip)
        self.story.output(f"{floating.ip} of pool {floating.pool}, on instance {floating.instance_id}")
        self.story.holds("an allocated address that is on no instance does not answer", self.silent(count=1))
        self.story.call(f"nova.servers.add_floating_ip(web_1, {self.address!r})")
        self.nova.servers.add_floating_ip(self.web1.id, self.address)
        shown = self.cloud.get_server(self.web1.id).addresses
        self.story.output(str({name: [entry["addr"] for entry in entries] for name, entries in shown.items()}))
        self.story.holds(
            "the server's details show the floating IP",
            any(entry["addr"] == self.address for entries in shown.values() for entry in entries),
        )

    def ping(self, count: int) -> str:
        """Ping the floating IP from outside."""
        return self.story.run(
            self.stage.at(OUTSIDE, "ping", "-c", str(count), "-i", "0.2", "-W", "1", self.address), prompt="outside"
        )

    def silent(self, count: int) -> bool:
        """Say whether no ping is answered."""
        return ", 0 received" in self.ping(count)

    def page(self) -> str:
        """Fetch the page at the floating IP from outside."""
        command = ("busybox", "wget", "-q", "-O", "-", f"http://{self.address}/")
        return self.story.run(self.stage.at(OUTSIDE, *command), prompt="outside")

    def reach(self) -> None:
        """Reach the guest from outside, where a rule admits it."""
        self.story.step("An outside host reaches the guest")
        self.story.holds("all pings are answered", ", 3 received" in self.ping(count=3))
        self.story.holds("the page comes from web-1", "web-1" in self.page())

    def leave(self) -> None:
        """Look at the guest from the far side of its own connections."""
        self.story.step("The guest's own traffic leaves with its floating IP")
        self.story.holds(f"the outside host sees {self.address}", self.address in self.source_seen(self.web1))
        trace = self.mooring("trace", _fixed(self.web1), str(OUTSIDE_ADDRESS), "tcp", "80")
        self.story.holds("mooring trace says the same", self.address in trace)

    def source_seen(self, web: Any) -> str:
        """Let a guest ping the outside host while that looks at what arrives."""
        command = self.stage.at(OUTSIDE, sys.executable, "-c", _WATCHER)
        with subprocess.Popen([*command], stdout=subprocess.PIPE, text=True) as watch:
            if watch.stdout is not None:
                watch.stdout.readline()
            ping = ("ping", "-c", "1", "-W", "2", str(OUTSIDE_ADDRESS))
            self.story.run(self.stage.at(f"mooring-g-{web.id}", *ping), prompt=web.name)
            seen, _ = watch.communicate(timeout=10)
        self.story.output(f"outside: {seen}")
        return str(seen)

    def move(self) -> None:
        """Move the address under traffic, and count what was lost."""
        self.story.step("The floating IP moves to the second guest while a ping runs")
        ping = ("ping", "-i", str(_PING_INTERVAL), "-c", str(_PINGS), "-W", "1", "-q", self.address)
        with subprocess.Popen([*self.stage.at(OUTSIDE, *ping)], stdout=subprocess.PIPE, text=True) as running:
            self.story.prompt("outside", f"{shlex.join(ping)} &")
            self.story.call(f"nova.servers.add_floating_ip(web_2, {self.address!r})")
            self.nova.servers.add_floating_ip(self.web2.id, self.address)
            counted, _ = running.communicate(timeout=60)
        self.story.output(counted)
        match = re.search(r"(\d+) packets transmitted, (\d+) received", counted)
        sent, received = (int(match[1]), int(match[2])) if match else (0, 0)
        self.story.holds(f"{_PINGS} echo requests were sent", sent == _PINGS)
        self.story.holds(
            f"{sent - received} of {sent} replies were lost, at one every {_PING_INTERVAL * 1000:g} ms",
            sent - received <= _LOST_AT_MOST,
        )
        page = self.page()
        self.story.holds("the page now comes from web-2", "web-2" in page and "web-1" not in page)
        seen = self.source_seen(self.web1)
        self.story.holds(
            f"web-1 no longer appears as {self.address}", "echo request" in seen and self.address not in seen
        )

    def end(self) -> None:
        """Take the address away and give it back."""
        self.story.step("The tenant takes the address away again")
        self.story.call(f"nova.servers.remove_floating_ip(web_2, {self.address!r})")
        self.nova.servers.remove_floating_ip(self.web2.id, self.address)
        self.story.holds("nothing answers any more", self.silent(count=3))
        floating = next(known for known in self.nova.floating_ips.list() if known.ip == self.address)
        self.story.holds("the address still belongs to the project", floating.instance_id is None)
        self.story.call(f"nova.floating_ips.delete({self.address!r})")
        self.nova.floating_ips.delete(floating.id)
        self.story.holds("it is released", not self.nova.floating_ips.list())


def _openstack(stage: Stage) -> Any:
    return openstack.connect(
        auth=clients.login(stage.environment("demo")),
        region_name="RegionOne",
        floating_ip_source="nova",
        load_yaml_config=False,
        load_envvars=False,
    )


def _fixed(server: Any) -> str:
    """Return the first fixed address in a server's details."""
    entries = (entry for entries in server.addresses.values() for entry in entries)
    return next((str(entry["addr"]) for entry in entries if entry["OS-EXT-IPS:type"] == "fixed"), "")


# Prints "ready", then the source address of the first echo request that arrives within 5 seconds.
_WATCHER = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
heard.settimeout(5)
print("ready", flush=True)
while True:
    packet, (source, _) = heard.recvfrom(2048)
    if packet[(packet[0] & 15) * 4] == 8:
        print(f"echo request from {source}")
        break
"""


DEMO = Demo(
    "floating-ip",
    "Two guests, one floating IP: reach a guest by it, leave with it, move it under traffic, take it away.",
    lambda keep_port, home: Stage(home, keep_port=keep_port),
    lambda story, stage: _Tale(story, stage).tell(),
)
