"""Names of floating IPs, as a guest asks for them through its router, and what it reaches by them."""

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from mooring.backends.linux.netns import Inside
from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS
from mooring.dialects.dns import Authority, Server
from mooring.model.names import DnsScope
from tests.journeys.town import Town

pytestmark = pytest.mark.kernel

_ASK = """
import sys
import dns.message, dns.query, dns.rcode
said = dns.query.udp(dns.message.make_query(sys.argv[1], "A"), sys.argv[2], timeout=20)
print(dns.rcode.to_text(said.rcode()), *(record for answer in said.answer for record in answer))
"""


@pytest.fixture
def server(town: Town) -> Iterator[Server]:
    """Mooring's DNS server on a machine outside, as one that answers the world."""
    with closing(Inside(OUTSIDE, "outside")) as outside:
        made = outside.run(
            lambda: Server(str(OUTSIDE_ADDRESS), 53, Authority("ns.example.net"), town.operations.names.ask)
        )
        made.start()
        yield made
        made.stop()


@pytest.mark.usefixtures("server")
def test_a_guest_asks_for_a_name(town: Town) -> None:
    asker, named = town.boot("asker"), town.boot("named")
    address = town.float_to(named)

    def ask(name: str) -> str:
        return town.inside(asker, sys.executable, "-c", _ASK, name, str(OUTSIDE_ADDRESS)).strip()

    town.operations.names.save_domain(town.admin, "example.org", DnsScope.PUBLIC)
    assert ask("ferry.example.org") == "NXDOMAIN"
    town.operations.names.save_entry(town.demo, "example.org", "ferry", address)
    assert ask("ferry.example.org") == f"NOERROR {address}"
    assert ask("ferry.example.com") == "REFUSED"
    # What it is told leads to the guest that has the name.
    page = town.inside(asker, "busybox", "wget", "-q", "-O", "-", f"http://{address}/")
    assert "named" in page
    floating = next(each for each in town.operations.addresses.listing(town.demo) if each.address == address)
    town.operations.addresses.release(town.demo, floating.id)
    assert ask("ferry.example.org") == "NXDOMAIN"
