"""A town to travel in: a stage with mooring on the real kernel, a network, a pool, and guests; and the instruments to look at packets."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from mooring.demos.stage import OUTSIDE, PROVIDER_ADDRESS, PUBLIC, UPLINK_INTERFACE, Stage
from mooring.guests.netns import IMAGES
from mooring.model.accounts import Caller
from mooring.model.ids import InstanceId
from mooring.model.nouns import AddressRange, InstanceState
from mooring.operations import NewInstance, NewNetwork, NewPool, Operations
from mooring.policy.rules import NewRule

POOL_RANGE = AddressRange(IPv4Address("198.51.100.10"), IPv4Address("198.51.100.60"))


@dataclass(frozen=True)
class Count:
    """What a ping counted."""

    sent: int
    received: int
    said: str = ""

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Town:
    """One stage, one operator, one tenant."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.operations: Operations = stage.node.operations
        self.admin = self.caller("admin")
        self.demo = self.caller("demo")
        self.operations.networks.create(self.admin, NewNetwork("private", IPv4Network("10.0.0.0/24")))
        self.operations.pools.create(
            self.admin, NewPool("public", PUBLIC, PROVIDER_ADDRESS, (POOL_RANGE,), "isp-a", UPLINK_INTERFACE)
        )
        # Who only looks at addresses lets everything in.
        (default,) = self.operations.groups.listing(self.demo)
        self.operations.groups.add_rule(self.demo, default.id, NewRule())

    def caller(self, user: str) -> Caller:
        token = self.operations.identity.log_in(user=user, user_id=None, password=self.stage.password, project=user)
        return self.operations.identity.caller(token.secret, "req-journey")

    def boot(self, name: str) -> InstanceId:
        """Start a guest and wait until it has taken its address by DHCP."""
        made = self.operations.instances.create(self.demo, NewInstance(name, IMAGES[0].id, "1"))
        eventually(lambda: self.operations.instances.get(self.demo, made.id).state is InstanceState.ACTIVE)
        eventually(lambda: str(self.fixed(made.id)) in self.inside(made.id, "ip", "-4", "address", "show", "eth0"))
        return made.id

    def fixed(self, instance: InstanceId) -> IPv4Address:
        return self.operations.instances.get(self.demo, instance).nics[0].fixed[0].address

    def float_to(self, instance: InstanceId) -> IPv4Address:
        """Allocate a floating IP and associate it."""
        address = self.operations.addresses.allocate(self.demo, "public").address
        self.operations.addresses.associate(self.demo, instance, address)
        return address

    def inside(self, instance: InstanceId, *command: str) -> str:
        return self.at(f"mooring-g-{instance}", *command)

    def at(self, namespace: str, *command: str) -> str:
        done = subprocess.run(
            self.stage.at(namespace, *command), capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def answers(self, address: IPv4Address, *, wait: float = 1.0) -> bool:
        """Say whether an address answers a ping from outside."""
        return ping_count(self.at(OUTSIDE, "ping", "-c", "1", "-W", f"{wait:g}", str(address))).received == 1

    @contextmanager
    def pinging(self, address: IPv4Address, interval: float = 0.002) -> Generator[Callable[[], Count]]:
        """Ping from outside as long as the block lasts; the function that is given tells the count, after the block."""
        with probe(self.stage.at(OUTSIDE), address, interval) as running:
            counted = ""

            def count() -> Count:
                return ping_count(counted)

            time.sleep(0.2)
            try:
                yield count
                time.sleep(0.2)
            finally:
                counted, _ = running.communicate(timeout=30)


def probe(at: Sequence[str], address: object, interval: float = 0.002) -> "subprocess.Popen[str]":
    """Start a prober; it counts when its input is closed, as communicate() does."""
    command = [*at, sys.executable, str(Path(__file__).with_name("prober.py")), str(address), str(interval)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ping_count(text: str) -> Count:
    """Read what ping says at its end."""
    match = re.search(r"(\d+) packets transmitted, (\d+) received", text)
    return Count(int(match[1]), int(match[2]), text[-400:]) if match else Count(0, 0, text[-400:])


def eventually(truth: Callable[[], object], timeout: float = 15.0) -> float:
    """Wait until something is true; return after how many seconds it was."""
    began = time.monotonic()
    while not truth():
        assert time.monotonic() < began + timeout, f"did not come true within {timeout} s"
        time.sleep(0.02)
    return time.monotonic() - began
