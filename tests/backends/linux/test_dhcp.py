"""Guests ask for their address, and dnsmasq answers: at once for a new NIC, with the new address after a change, and never a stranger."""

import re
import secrets
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from mooring.agent.interfaces import Refused
from mooring.backends.linux import processes
from mooring.compile.facts import HostState, Key
from mooring.compile.links import router_place
from mooring.compile.tables import DHCP_HOST, PORT
from mooring.model.subjects import NicIntent
from tests.backends.lab import Lab
from tests.compile.small import ALICE, BLUE, RED, nic, small
from tests.compile.walled import OPEN, walled

pytestmark = pytest.mark.kernel

CLOUD = small()
ROUTER = CLOUD.routers[0]
ALICES_NIC, BOBS_NIC = CLOUD.nics[:2]
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = 1, 2, 3, 4, 5, 6, 7
SERVER = b"\x36\x04" + IPv4Address("10.0.1.1").packed


@dataclass(frozen=True)
class Answer:
    """What a DHCP server said."""

    kind: int
    address: IPv4Address
    options: dict[int, bytes]


class Client:
    """A DHCP client that asks once, so that an answer means that the server knew by then."""

    def __init__(self, lab: Lab, nic: NicIntent, *, client_id: bool = False) -> None:
        self._mac = self.name = bytes.fromhex(nic.mac.replace(":", ""))
        self.id = b"\x3d\x07\x01" + self._mac if client_id else b""
        name = lab.add(f"{lab.tag}-{secrets.token_hex(2)}")
        lab.ip(lab.host, f"link set mg{nic.id.replace('-', '')[:11]} netns {name} name eth0 address {nic.mac}")
        lab.ip(name, "link set eth0 up")
        self._frames = lab.open(name, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._frames.bind(("eth0", 0x0800))

    def ask(self, kind: int, *options: bytes, wait: float = 0.6) -> Answer | None:
        """Send one message; return the answer, None if there is none."""
        self._frames.settimeout(wait)
        number = secrets.token_bytes(4)
        bootp = struct.pack("!BBBB4sHH16x", 1, 1, 6, 0, number, 0, 0x8000) + self.name.ljust(16, b"\0") + bytes(192)
        payload = (
            bootp
            + b"\x63\x82\x53\x63"
            + bytes((53, 1, kind, 55, 7, 1, 3, 6, 12, 15, 26, 51))
            + self.id
            + b"".join(options)
            + b"\xff"
        )
        udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
        self._frames.send(b"\xff" * 6 + self._mac + b"\x08\x00" + head + udp)
        until = time.monotonic() + wait
        while time.monotonic() < until:
            try:
                frame = self._frames.recv(2048)
            except TimeoutError:
                return None
            if frame[23] == 17 and frame[36:38] == b"\0\x44" and frame[46:50] == number:
                return _answer(frame[42:])
        return None

    def take(self) -> IPv4Address | None:
        """Ask for an address and take it."""
        offer = self.ask(DISCOVER)
        if offer is None or offer.kind != OFFER:
            return None
        answer = self.ask(REQUEST, b"\x32\x04" + offer.address.packed, b"\x36\x04" + offer.options[54])
        return answer.address if answer is not None and answer.kind == ACK else None

    def renew(self, address: IPv4Address) -> Answer | None:
        """Ask for an address that was had before, as after a restart of the guest."""
        return self.ask(REQUEST, b"\x32\x04" + address.packed)


def _answer(bootp: bytes) -> Answer:
    options: dict[int, bytes] = {}
    at = 240
    while bootp[at] != 255:
        options[bootp[at]] = bootp[at + 2 : at + 2 + bootp[at + 1]]
        at += 2 + bootp[at + 1]
    return Answer(options[53][0], IPv4Address(bootp[16:20]), options)


def ports_only(*nics: NicIntent) -> HostState:
    """Return the cloud as the host knows it before these NICs have entries."""
    without = replace(CLOUD, nics=tuple(each for each in CLOUD.nics if each not in nics)).state
    return {**without, **{key: value for key, value in CLOUD.state.items() if key.table == PORT}}


def moved(nic: NicIntent, address: str) -> NicIntent:
    return replace(nic, addresses=(replace(nic.addresses[0], address=IPv4Address(address), floating=()),))


def with_nics(*nics: NicIntent) -> HostState:
    ids = {each.id for each in nics}
    return replace(CLOUD, nics=(*nics, *(each for each in CLOUD.nics if each.id not in ids))).state


def test_a_guest_gets_its_address_and_what_goes_with_it(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    offer = Client(lab, ALICES_NIC).ask(DISCOVER)
    assert offer is not None
    assert (offer.kind, offer.address) == (OFFER, ALICES_NIC.addresses[0].address)
    own = next(port for port in ROUTER.ports if port.network == RED)
    assert offer.options[1] == own.address.netmask.packed
    assert offer.options[3] == own.address.ip.packed
    assert offer.options[6] == own.dns[0].packed
    assert offer.options[26] == struct.pack("!H", own.mtu)
    assert offer.options[51] == struct.pack("!I", own.lease)
    assert offer.options[12] == ALICES_NIC.hostname.encode()
    assert offer.options[15] == b"mooring.internal"


def test_a_network_without_dns_servers_has_its_router(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    carol = CLOUD.nics[2]
    offer = Client(lab, carol).ask(DISCOVER)
    own = next(port for port in ROUTER.ports if port.network == BLUE)
    assert offer is not None
    assert offer.options[6] == own.address.ip.packed


def test_a_stranger_gets_nothing(lab: Lab) -> None:
    lab.settle(ports_only(ALICES_NIC))
    assert Client(lab, ALICES_NIC).ask(DISCOVER) is None


@pytest.mark.parametrize("others", [0, 1000])
def test_a_new_entry_holds_for_the_very_next_question(lab: Lab, others: int) -> None:
    """With many entries dnsmasq takes its time to read them: longer than a guest takes to ask."""
    crowd: HostState = {
        Key(DHCP_HOST, router_place(ROUTER.id), (RED, f"02:00:77:00:{number >> 8:02x}:{number & 255:02x}")): (
            IPv4Address("10.7.0.0") + number,
            f"other-{number}",
        )
        for number in range(others)
    }
    without, state = {**ports_only(ALICES_NIC), **crowd}, {**CLOUD.state, **crowd}
    lab.settle(without)
    client = Client(lab, ALICES_NIC)
    for _ in range(10):
        assert client.ask(DISCOVER, wait=0.2) is None
        lab.settle(state)
        assert client.take() == ALICES_NIC.addresses[0].address
        lab.settle(without)


@pytest.mark.parametrize("client_id", [False, True], ids=["by hardware address", "by client id"])
def test_an_address_goes_to_the_next_nic_at_once(lab: Lab, client_id: bool) -> None:
    """dnsmasq keeps an address from others as long as it is leased; ours must be given back for that."""
    lab.settle(CLOUD.state)
    alice, bob = Client(lab, ALICES_NIC, client_id=client_id), Client(lab, BOBS_NIC, client_id=client_id)
    hers, his = ALICES_NIC.addresses[0].address, BOBS_NIC.addresses[0].address
    assert (alice.take(), bob.take()) == (hers, his)
    for _ in range(5):
        lab.settle(with_nics(moved(ALICES_NIC, str(his)), moved(BOBS_NIC, str(hers))))
        assert (alice.take(), bob.take()) == (his, hers)
        lab.settle(CLOUD.state)
        assert (alice.take(), bob.take()) == (hers, his)


def test_an_address_of_a_nic_that_went_goes_to_a_new_one_at_once(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    client = Client(lab, ALICES_NIC)
    hers = ALICES_NIC.addresses[0].address
    assert client.take() == hers
    new = nic(type(ALICE)("d0000077-0000-4000-8000-000000000077"), RED, str(hers))
    others = tuple(each for each in CLOUD.nics if each.id != ALICE)
    lab.settle(replace(CLOUD, nics=(new, *others)).state)
    assert Client(lab, new).take() == hers


def test_a_guest_that_asks_for_an_address_it_has_no_longer_is_told_so(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    client = Client(lab, ALICES_NIC)
    hers = client.take()
    assert hers is not None
    lab.settle(with_nics(moved(ALICES_NIC, "10.0.1.77")))
    answer = client.renew(hers)
    assert answer is not None
    assert answer.kind == NAK


def test_no_guest_speaks_in_the_name_of_another(lab: Lab) -> None:
    """Declined, an address would be given to nobody for ten minutes; asked for under another's identifier, a lease would change hands."""
    cloud = walled(OPEN, members=((1,),) * 4)
    lab.settle(cloud.state)
    mallory, victim = Client(lab, cloud.nics[0]), Client(lab, cloud.nics[1], client_id=True)
    address = cloud.nics[1].addresses[0].address
    assert victim.take() == address
    own, mallory.name = mallory.name, victim.name
    for kind in (DECLINE, RELEASE, DISCOVER):
        assert mallory.ask(kind, b"\x32\x04" + address.packed, SERVER, wait=0.1) is None
    mallory.name, mallory.id = own, victim.id
    assert mallory.take() == cloud.nics[0].addresses[0].address
    mallory.ask(DECLINE, b"\x32\x04" + address.packed, SERVER, wait=0.1)
    renewed = victim.renew(address)
    assert renewed is not None
    assert renewed.kind == ACK
    assert victim.take() == address


def test_guests_keep_their_addresses_when_a_server_starts_anew(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    client = Client(lab, ALICES_NIC)
    hers = client.take()
    assert hers is not None
    for process in processes.named("dnsmasq"):
        if any(str(lab.run) in word for word in process.arguments):
            processes.end(process.id)
    lab.settle(CLOUD.state)
    answer = client.renew(hers)
    assert answer is not None
    assert (answer.kind, answer.address) == (ACK, hers)


def test_a_nic_keeps_its_address_when_others_come_and_go(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    client = Client(lab, ALICES_NIC)
    hers = client.take()
    assert hers is not None
    lab.settle(replace(CLOUD, nics=(ALICES_NIC,)).state)
    lab.settle(CLOUD.state)
    answer = client.renew(hers)
    assert answer is not None
    assert (answer.kind, answer.address) == (ACK, hers)


def test_guests_know_each_other_by_name(lab: Lab) -> None:
    lab.settle(CLOUD.state)
    Client(lab, ALICES_NIC).take()
    router = lab.router(ROUTER)
    asked = subprocess.run(
        [
            "nsenter",
            f"--net=/run/netns/{router}",
            "busybox",
            "nslookup",
            f"{ALICES_NIC.hostname}.mooring.internal",
            "10.0.1.1",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    ).stdout
    assert re.search(r"Address[^:]*: *10\.0\.1\.3\b", asked), asked


def test_a_configuration_that_dnsmasq_refuses_leaves_the_old_one_running(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.settle(CLOUD.state)
    before = [process.id for process in processes.named("dnsmasq")]
    monkeypatch.setattr("mooring.backends.linux.dnsmasq.DOMAIN", "x\nno-such-setting")
    port = replace(ROUTER.ports[0], lease=77)
    with pytest.raises(Refused, match="dhcp_server"):
        lab.settle(replace(CLOUD, routers=(replace(ROUTER, ports=(port, *ROUTER.ports[1:])),)).state)
    assert [process.id for process in processes.named("dnsmasq")] == before
    monkeypatch.undo()
    assert lab.backend.read() == CLOUD.state


def test_a_name_never_becomes_a_setting(lab: Lab) -> None:
    for name in ("x,set:evil", "x\ndhcp-range=1.2.3.4", "-x", "x" * 64, "ü"):
        with pytest.raises(Refused):
            lab.settle(with_nics(replace(ALICES_NIC, hostname=name)))
        lab.settle(CLOUD.state)
