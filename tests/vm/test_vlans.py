"""What this kernel may lack and a cloud's hosts have: 802.1Q devices, and bridges that know VLANs."""

import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

pytestmark = pytest.mark.vm


def run(command: str, check: bool = True) -> str:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False, timeout=30)
    assert not check or not done.returncode, f"{command}: {done.stderr}"
    return done.stdout


class Wire:
    """Two hosts, namespaces of their own, with one cable between them: `trunk` in each.  Guests hang on VLANs of it."""

    def __init__(self) -> None:
        self.hosts = tuple(f"t-{uuid4().hex[:8]}" for _ in range(2))
        self._names: list[str] = []
        for name in self.hosts:
            self.add(name)
        one, other = self.hosts
        run(f"ip -n {one} link add trunk type veth peer name trunk netns {other}")
        for name in self.hosts:
            run(f"ip -n {name} link set trunk up")

    def add(self, name: str) -> str:
        run(f"ip netns add {name}")
        self._names.append(name)
        return name

    def tag(self, host: int, vlan: int, address: str) -> str:
        """Give a host a guest on a VLAN, and return the guest's namespace; its device is eth0."""
        guest = self.add(f"{self.hosts[host]}-{vlan}")
        run(f"ip -n {self.hosts[host]} link add link trunk name eth0 type vlan id {vlan}")
        run(f"ip -n {self.hosts[host]} link set eth0 netns {guest}")
        run(f"ip -n {guest} address add {address}/24 dev eth0")
        run(f"ip -n {guest} link set eth0 up")
        return guest

    def cut(self) -> None:
        for name in self._names:
            run(f"ip netns delete {name}")


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.cut()


def answers(namespace: str, target: str) -> bool:
    # Several: the first may meet the end of an earlier search for the neighbour.
    return ", 0 received" not in run(f"ip netns exec {namespace} ping -c4 -i0.5 -W1 {target}", check=False)


def test_tagged_packets_pass_and_vlans_stay_apart(wire: Wire) -> None:
    red, blue = wire.tag(0, 100, "10.7.0.1"), wire.tag(0, 200, "10.7.0.1")  # two projects may choose one address
    wire.tag(1, 100, "10.7.0.2")
    wire.tag(1, 200, "10.7.0.3")
    assert answers(red, "10.7.0.2")
    assert answers(blue, "10.7.0.3")
    assert not answers(red, "10.7.0.3")
    assert not answers(blue, "10.7.0.2")


def test_a_bridge_filters_vlans(wire: Wire) -> None:
    host = wire.hosts[1]
    far = wire.tag(0, 100, "10.7.0.1")
    near = wire.add(f"{host}-near")
    run(f"ip -n {host} link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0")
    run(f"ip -n {host} link add guest type veth peer name eth0 netns {near}")
    for device in ("trunk", "guest"):
        run(f"ip -n {host} link set {device} master br0 up")
    run(f"ip -n {host} link set br0 up")
    run(f"ip -n {near} address add 10.7.0.2/24 dev eth0")
    run(f"ip -n {near} link set eth0 up")
    assert not answers(far, "10.7.0.2")
    run(f"bridge -n {host} vlan add dev trunk vid 100")
    run(f"bridge -n {host} vlan add dev guest vid 100 pvid untagged")
    assert answers(far, "10.7.0.2")
