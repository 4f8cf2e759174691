"""Names of floating IPs as real resolvers ask for them, and what strangers send instead of questions."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.dns import Authority, Server, answer
from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Invalid, NotFound, QuotaExceeded, Unavailable
from mooring.model.names import DnsDomain, DnsScope
from mooring.operations.names import MOST_NAMES, Asked
from tests.cloud import Cloud

AUTHORITY = Authority("ns.example.net", (IPv4Network("127.0.0.0/8"),))
ADDRESS = IPv4Address("198.51.100.11")
HERE = IPv4Address("127.0.0.1")


@pytest.fixture
def named(cloud: Cloud) -> Cloud:
    """A cloud with ferry.example.org, a domain below example.org, and a private one."""
    names, root, alice = cloud.operations.names, cloud.caller("root"), cloud.caller("alice")
    for domain in ("example.org", "deep.example.org"):
        names.save_domain(root, domain, DnsScope.PUBLIC)
    names.save_domain(root, "inside", DnsScope.PRIVATE)
    assert cloud.operations.addresses.allocate(alice, None).address == ADDRESS
    for domain, name in (("example.org", "ferry"), ("deep.example.org", "raft"), ("inside", "ferry")):
        names.save_entry(alice, domain, name, ADDRESS)
    return cloud


@pytest.fixture
def server(named: Cloud) -> Iterator[Server]:
    made = Server("127.0.0.1", 0, AUTHORITY, named.operations.names.ask)
    made.start()
    yield made
    made.stop()


def ask(server: Server, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    how = dns.query.tcp if tcp else dns.query.udp
    return how(query, server.host, timeout=10, port=server.port)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", ["ferry.example.org", "FERRY.Example.ORG.", "raft.deep.example.org", "ferry.inside"])
def test_a_name_has_its_address(server: Server, name: str, tcp: bool) -> None:
    said = ask(server, name, tcp=tcp)
    assert said.rcode() == dns.rcode.NOERROR
    assert said.flags & dns.flags.AA
    assert not said.flags & dns.flags.RA
    ((record,),) = said.answer
    assert (record.to_text(), said.answer[0].ttl) == (str(ADDRESS), 60)


@pytest.mark.parametrize(
    "name", ["raft.example.org", "a.ferry.example.org", "no\\.such.example.org", "\\000.example.org"]
)
def test_what_is_no_name(server: Server, name: str) -> None:
    said = ask(server, name)
    assert (said.rcode(), said.answer) == (dns.rcode.NXDOMAIN, [])
    assert "SOA ns.example.net." in said.authority[0].to_text()


@pytest.mark.parametrize(
    "name, kind", [("ferry.example.org", "AAAA"), ("ferry.example.org", "TXT"), ("example.org", "A")]
)
def test_a_name_without_what_is_asked(server: Server, name: str, kind: str) -> None:
    said = ask(server, name, kind)
    assert (said.rcode(), said.answer) == (dns.rcode.NOERROR, [])
    assert "SOA ns.example.net." in said.authority[0].to_text()


@pytest.mark.parametrize(
    "kind, text", [("SOA", "SOA ns.example.net. hostmaster.ns.example.net. 1"), ("NS", "NS ns.example.net.")]
)
def test_a_domain_says_who_serves_it(server: Server, kind: str, text: str) -> None:
    (record,) = ask(server, "example.org", kind).answer
    assert text in record.to_text()


@pytest.mark.parametrize(
    "name, kind", [("example.com", "A"), ("org", "A"), (".", "NS"), ("xexample.org", "A"), ("example.org", "AXFR")]
)
def test_what_is_not_ours_is_refused(server: Server, name: str, kind: str) -> None:
    query = dns.message.make_query(name, kind)
    said = dns.query.udp(query, server.host, timeout=10, port=server.port)
    assert (said.rcode(), said.answer, said.authority) == (dns.rcode.REFUSED, [], [])
    assert len(said.to_wire()) <= len(query.to_wire())


def test_a_private_domain_is_for_those_inside(named: Cloud) -> None:
    question = dns.message.make_query("ferry.inside", "A").to_wire()
    for source, code in ((HERE, dns.rcode.NOERROR), (IPv4Address("192.0.2.1"), dns.rcode.REFUSED)):
        said = answer(question, source, AUTHORITY, named.operations.names.ask)
        assert said is not None
        assert dns.message.from_wire(said).rcode() == code


def test_a_change_holds_for_the_next_question(named: Cloud, server: Server) -> None:
    names, alice = named.operations.names, named.caller("alice")
    second = named.operations.addresses.allocate(alice, None)
    names.save_entry(alice, "example.org", "ferry", second.address)
    ((record,),) = ask(server, "ferry.example.org").answer
    assert record.to_text() == str(second.address)
    named.operations.addresses.release(alice, second.id)
    assert ask(server, "ferry.example.org").rcode() == dns.rcode.NXDOMAIN
    # What another project gets next has no name of before.
    assert names.of_address(named.caller("root"), "example.org", second.address) == []
    names.delete_domain(named.caller("root"), "deep.example.org")
    assert ask(server, "raft.deep.example.org").rcode() == dns.rcode.NXDOMAIN


def test_many_questions_on_one_connection_and_none_on_another(server: Server) -> None:
    query = dns.message.make_query("ferry.example.org", "A")
    with socket.create_connection((server.host, server.port), timeout=10) as silent:
        with socket.create_connection((server.host, server.port), timeout=10) as talking:
            for _ in range(3):
                dns.query.send_tcp(talking, query)
                said, _when = dns.query.receive_tcp(talking)
                assert said.answer
        silent.sendall(b"\x00\x05abc")
        assert ask(server, "ferry.example.org").answer


def test_answers_and_half_headers_get_none(named: Cloud) -> None:
    said = dns.message.make_query("ferry.example.org", "A")
    said.flags |= dns.flags.QR
    for message in (said.to_wire(), b"", b"\x00" * 11, said.to_wire()[:14]):
        assert answer(message, HERE, AUTHORITY, named.operations.names.ask) is None


def test_a_question_that_fails_ends_nothing() -> None:
    faults = [Unavailable("away"), RuntimeError("ours")]

    def broken(name: str) -> Asked | None:
        if faults:
            raise faults.pop()
        return Asked(DnsDomain("example.org", DnsScope.PUBLIC), is_domain=False, address=ADDRESS)

    server = Server("127.0.0.1", 0, AUTHORITY, broken)
    server.start()
    try:
        query = dns.message.make_query("ferry.example.org", "A")
        for _ in range(2):
            with socket.create_connection((server.host, server.port), timeout=10) as talking:
                dns.query.send_tcp(talking, query)
                assert talking.recv(1) == b""
        assert ask(server, "ferry.example.org").answer
    finally:
        server.stop()


_GOOD = dns.message.make_query("ferry.example.org", "A", use_edns=0).to_wire()


def _any(name: str) -> Asked | None:
    known = DnsDomain("example.org", DnsScope.PUBLIC)
    return Asked(known, is_domain=False, address=ADDRESS) if name.endswith("example.org") else None


@given(st.one_of(st.binary(max_size=600), st.tuples(st.integers(0, len(_GOOD) - 1), st.binary(min_size=1, max_size=6))))
def test_whatever_is_sent(sent: bytes | tuple[int, bytes]) -> None:
    if isinstance(sent, tuple):
        place, put = sent
        sent = _GOOD[:place] + put + _GOOD[place + len(put) :]
    said = answer(sent, HERE, AUTHORITY, _any)
    if said is not None:
        assert said[:2] == sent[:2]
        assert said[2] & 0x80
        assert len(said) <= 512


def test_names_have_bounds(named: Cloud) -> None:
    names, alice, root = named.operations.names, named.caller("alice"), named.caller("root")
    bob: Caller = named.caller("bob")
    theirs = named.operations.addresses.allocate(bob, None).address
    for number in range(MOST_NAMES - 3):
        names.save_entry(alice, "example.org", f"n{number}", ADDRESS)
    names.save_entry(alice, "example.org", "n0", ADDRESS)
    with pytest.raises(QuotaExceeded):
        names.save_entry(alice, "example.org", "more", ADDRESS)
    for wrong in ("", "a.b", "-a", "a-", "a_b", "a" * 64, "ä", "a\n", "*"):
        with pytest.raises(Invalid):
            names.save_entry(bob, "example.org", wrong, theirs)
    for wrong in ("", ".", "a..b", ".org", "org.", "1.2.3.4", "10.in-addr.arpa", "a b.org", f"{'a.' * 100}org"):
        with pytest.raises(Invalid):
            names.save_domain(root, wrong, DnsScope.PUBLIC)
    with pytest.raises(Invalid, match="no floating IP of the project"):
        names.save_entry(bob, "example.org", "mine", ADDRESS)
    with pytest.raises(Conflict, match="taken"):
        names.save_entry(bob, "example.org", "ferry", theirs)
    names.save_domain(root, "boats.example", DnsScope.PUBLIC, "boats")
    with pytest.raises(NotFound):
        names.save_entry(bob, "boats.example", "mine", theirs)
    with pytest.raises(Conflict, match="DNS domain"):
        named.operations.accounts.delete_project(root, alice.project.id)
