"""Real packets through a floating IP: in, out, moved, and gone."""

import socket
import subprocess
import sys
from ipaddress import IPv4Address

import pytest

from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS, PROVIDER
from mooring.operations import PoolChange
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel

# Says "ready", then prints the source of every echo request until it is killed.
_LISTENER = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
print("ready", flush=True)
while True:
    packet, (source, _) = heard.recvfrom(2048)
    if packet[(packet[0] & 15) * 4] == 8:
        print(source, flush=True)
"""


def _sources_seen(town: Town, guest: str) -> set[str]:
    """Return the addresses as which a guest's pings arrive outside."""
    with subprocess.Popen(
        [*town.stage.at(OUTSIDE, sys.executable, "-c", _LISTENER)], stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        town.at(guest, "ping", "-c", "2", "-i", "0.2", "-W", "1", str(OUTSIDE_ADDRESS))
        listener.kill()
        return set(listener.communicate(timeout=10)[0].split())


def test_a_guest_without_a_floating_ip_goes_out_as_the_router(town: Town) -> None:
    guest = town.boot("shy")
    assert _sources_seen(town, f"mooring-g-{guest}") == {"198.51.100.10"}


def test_in_out_moved_and_gone(town: Town) -> None:
    first, second = town.boot("web-1"), town.boot("web-2")
    address = town.operations.addresses.allocate(town.demo, "public").address
    assert not town.answers(address)
    town.operations.addresses.associate(town.demo, first, address)
    # Acknowledged is done: not eventually, now.
    assert town.answers(address)
    assert _sources_seen(town, f"mooring-g-{first}") == {str(address)}

    with town.pinging(address) as count:
        town.operations.addresses.associate(town.demo, second, address)
    assert count().sent > 100
    assert count().lost <= 5
    page = town.at(OUTSIDE, "busybox", "wget", "-q", "-O", "-", f"http://{address}/")
    assert "web-2" in page
    assert _sources_seen(town, f"mooring-g-{second}") == {str(address)}
    assert str(address) not in _sources_seen(town, f"mooring-g-{first}")

    town.operations.addresses.disassociate(town.demo, second, address)
    assert not town.answers(address)
    assert str(address) not in _sources_seen(town, f"mooring-g-{second}")


def test_guests_reach_each_other_by_floating_ip_and_themselves(town: Town) -> None:
    first, second = town.boot("a"), town.boot("b")
    one, two = town.float_to(first), town.float_to(second)
    for guest in (first, second):
        for address in (one, two):
            assert ", 1 received" in town.inside(guest, "ping", "-c", "1", "-W", "1", str(address))


def test_a_guest_without_floating_ip_reaches_a_neighbours(town: Town) -> None:
    first, second = town.boot("c"), town.boot("d")
    address = town.float_to(second)
    assert ", 1 received" in town.inside(first, "ping", "-c", "1", "-W", "1", str(address))


def test_an_established_flow_ends_with_the_association(town: Town) -> None:
    guest = town.boot("e")
    address = town.float_to(guest)
    script = (
        "import socket,sys,time\n"
        f"s=socket.create_connection(({str(address)!r},7),3)\n"
        "s.settimeout(1)\n"
        "s.sendall(b'x'); s.recv(1); print('up',flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n s.sendall(b'y'); print(s.recv(1))\n"
        "except OSError as e: print('dead', type(e).__name__)\n"
    )
    with subprocess.Popen(
        [*town.stage.at(OUTSIDE, sys.executable, "-c", script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as peer:
        assert peer.stdout is not None
        assert peer.stdout.readline().strip() == "up"
        town.operations.addresses.disassociate(town.demo, guest, address)
        said, _ = peer.communicate("go\n", timeout=10)
    assert "dead" in said


def test_several_floating_ips_of_a_pool_on_one_guest(town: Town) -> None:
    """All of them answer; the guest leaves as the one that came first, and when that goes, as the next."""
    addresses, pools = town.operations.addresses, town.operations.pools
    guest = town.boot("many")
    pools.update(town.admin, "public", PoolChange(per_fixed=3))
    taken = [addresses.allocate(town.demo, "public").address for _ in range(3)]
    # The highest first: it is not their numbers that count.
    came = sorted(taken, reverse=True)
    for address in came:
        addresses.associate(town.demo, guest, address)
    assert all(town.answers(address) for address in came)
    for going in came:
        assert _sources_seen(town, f"mooring-g-{guest}") == {str(going)}
        addresses.disassociate(town.demo, guest, going)
        assert not town.answers(going)
    assert _sources_seen(town, f"mooring-g-{guest}") == {"198.51.100.10"}
    pools.update(town.admin, "public", PoolChange(per_fixed=1))


def test_no_private_source_ever_leaves(town: Town) -> None:
    guest = town.boot("f")
    address = town.float_to(guest)
    watch = subprocess.Popen(
        [*town.stage.at(PROVIDER, "tcpdump", "-nli", "isp0", "src", "net", "10.0.0.0/8")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        with subprocess.Popen(
            [*town.stage.at(f"mooring-g-{guest}", "ping", "-q", "-i", "0.002", "-c", "600", str(OUTSIDE_ADDRESS))],
            stdout=subprocess.DEVNULL,
        ) as pings:
            for _ in range(3):
                town.operations.addresses.disassociate(town.demo, guest, address)
                town.operations.addresses.associate(town.demo, guest, address)
            pings.wait(timeout=30)
    finally:
        watch.terminate()
        leaked, _ = watch.communicate(timeout=10)
    assert not leaked.strip()


def test_only_addresses_in_use_are_answered_for(town: Town) -> None:
    guest = town.boot("g")
    address = town.float_to(guest)
    asked = town.at(PROVIDER, "arping", "-c", "1", "-w", "1", "-I", "isp0", str(address))
    assert "Received 1" in asked
    for nobody in (POOL_LAST, IPv4Address("10.0.0.1"), IPv4Address("198.51.100.99")):
        assert "Received 0" in town.at(PROVIDER, "arping", "-c", "1", "-w", "1", "-I", "isp0", str(nobody))


POOL_LAST = IPv4Address("198.51.100.60")


def test_a_deleted_guest_is_gone_and_its_address_goes_to_the_next_one(town: Town) -> None:
    guest = town.boot("h")
    address = town.float_to(guest)
    assert town.answers(address)
    town.operations.instances.delete(town.demo, guest)
    assert not town.answers(address)
    eventually(lambda: all(known.id != guest for known in town.operations.instances.listing(town.demo)))
    heir = town.boot("i")
    town.operations.addresses.associate(town.demo, heir, address)
    assert town.answers(address)


def test_the_router_says_nothing_but_dhcp_dns_and_ping(town: Town) -> None:
    guest = town.boot("j")
    assert ", 1 received" in town.inside(guest, "ping", "-c", "1", "-W", "1", "10.0.0.1")
    assert socket.inet_aton("10.0.0.1")
    refused = town.inside(guest, "busybox", "nc", "-w", "1", "10.0.0.1", "22")
    assert "refused" not in refused
