"""Several providers to try back-ends on: the small host with three of them, its guests, and the same hosts outside behind each.

Who answers says which way a packet took.
"""

from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from mooring.model.subjects import Egress, PublicAddress
from tests.backends.lab import ECHO, Lab
from tests.compile.uplinks import ALICE_IP, preferences, three, with_egress
from tests.strategies import DESTINATIONS, Cloud, provider

COUNT = 3
PATIENCE, IMPATIENCE = 10.0, 0.4
"""For how many seconds an answer is awaited that must come, and one that must not."""
HOSTS = tuple(address for address in DESTINATIONS if all(address not in provider(number) for number in range(COUNT)))
NEAR, FAR, ELSEWHERE = (IPv4Address(text) for text in ("192.0.2.77", "192.0.2.128", "9.9.9.9"))


def ask(lab: Lab, guest: str, ends: tuple[IPv4Address, IPv4Address], wait: float) -> tuple[str, str] | None:
    """Send a datagram as one of somebody's addresses; return who answered, and as whom it was seen."""
    source, target = ends
    client = lab.open(guest)
    client.settimeout(wait)
    client.bind((str(source), 0))
    client.connect((str(target), ECHO))
    try:
        client.send(b"hello")
        who, as_whom, *_ = client.recv(2048).decode().split(" ")
    except OSError:
        return None
    finally:
        client.close()
    return who, as_whom


class City:
    """The small host with three providers, and its guests plugged in; all of them, and the hosts outside, answer datagrams."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cloud = three()
        lab.settle(self.cloud.state)
        router = self.cloud.routers[0]
        self.alice, self.bob, self.carol, _ = (lab.guest(nic, router) for nic in self.cloud.nics)
        self.isps = [outside(lab, number) for number in range(COUNT)]
        for each in (self.alice, self.bob, self.carol):
            lab.echo(each)

    def become(self, cloud: Cloud) -> None:
        self.lab.settle(cloud.state)
        self.cloud = cloud

    def prefer(self, *wanted: tuple[str, PublicAddress], number: int = 2, renewed: int = 0) -> None:
        self.become(with_egress(self.cloud, ALICE_IP, Egress(number, preferences(*wanted), renewed)))

    def seen(self, guest: str, target: IPv4Address, wait: float = PATIENCE) -> tuple[int, str] | None:
        """Return behind which provider a guest's datagram was answered, and as whom it was seen there."""
        answer = self.lab.ask(guest, target, wait=wait)
        return None if answer is None else (self.isps.index(answer[0]), answer[1])

    def stays(self, guest: str, target: IPv4Address) -> bool:
        """Say whether nobody hears a guest."""
        return self.seen(guest, target, wait=IMPATIENCE) is None

    def ask_from(self, isp: int, target: IPv4Address, source: IPv4Address = NEAR) -> tuple[str, str] | None:
        """Let a host outside send a datagram by one provider; return who answered."""
        return ask(self.lab, self.isps[isp], (source, target), PATIENCE)


def outside(lab: Lab, number: int) -> str:
    """Put hosts behind a provider, which answer datagrams."""
    isp = lab.isp(number)
    for host in HOSTS:
        lab.ip(isp, f"address add {host}/32 dev lo")
    lab.echo(isp)
    return isp


@contextmanager
def three_providers(path: Path) -> Generator[Lab]:
    path.chmod(0o755)
    made = Lab(Path("/run") / path.name, uplinks=COUNT)
    try:
        yield made
    finally:
        made.close()
