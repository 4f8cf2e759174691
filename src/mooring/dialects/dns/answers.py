"""From a question to its answer: no socket, no thread.

Whoever asks is believed nothing: what is no question gets no answer, what is none of our domains is refused in as few bytes as the question
had, and no answer holds more than one address, so that nobody is flooded with our help.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mooring.model.names import DnsScope
from mooring.operations.names import Asked

TTL = 60
"""For how many seconds an answer may be repeated: names move as fast as floating IPs do."""

Ask = Callable[[str], Asked | None]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who answers: the name of this name server, and from where private domains may be asked for."""

    name: str
    inside: Sequence[IPv4Network] = ()


def answer(question: bytes, source: IPv4Address, authority: Authority, ask: Ask) -> bytes | None:
    """Return the answer to a message, or None to one that deserves none."""
    try:
        query = dns.message.from_wire(question)
    except dns.message.ShortHeader:
        return None
    except (dns.exception.DNSException, ValueError):
        return _malformed(question)
    if query.flags & dns.flags.QR:
        return None
    response = dns.message.make_response(query, recursion_available=False)
    if query.opcode() != dns.opcode.QUERY:
        response.set_rcode(dns.rcode.NOTIMP)
    elif len(query.question) != 1:
        response.set_rcode(dns.rcode.FORMERR)
    else:
        _answer(response, query.question[0], source, authority, ask)
    return response.to_wire(max_size=512)


def _answer(
    response: dns.message.Message, asked: dns.rrset.RRset, source: IPv4Address, authority: Authority, ask: Ask
) -> None:
    known = ask(_text(asked.name)) if asked.rdclass == dns.rdataclass.IN else None
    if known is None or not _may_ask(known, source, authority) or asked.rdtype == dns.rdatatype.AXFR:
        response.set_rcode(dns.rcode.REFUSED)
        return
    response.flags |= dns.flags.AA
    zone = dns.name.from_text(known.domain.name)
    kinds = {asked.rdtype} if asked.rdtype != dns.rdatatype.ANY else {dns.rdatatype.A, dns.rdatatype.SOA}
    if known.is_domain:
        for kind in sorted(kinds & {dns.rdatatype.SOA, dns.rdatatype.NS}):
            response.answer.append(_record(zone, kind, authority))
    elif known.address is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif dns.rdatatype.A in kinds:
        response.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "A", str(known.address)))
    if not response.answer:
        # How long it may be remembered that there is nothing is said by the domain's own record.
        response.authority.append(_record(zone, dns.rdatatype.SOA, authority))


def _record(zone: dns.name.Name, kind: dns.rdatatype.RdataType, authority: Authority) -> dns.rrset.RRset:
    server = dns.name.from_text(authority.name).to_text()
    if kind == dns.rdatatype.NS:
        return dns.rrset.from_text(zone, TTL, "IN", "NS", server)
    # The serial number is for transfers, of which there are none.
    return dns.rrset.from_text(zone, TTL, "IN", "SOA", f"{server} hostmaster.{server} 1 {TTL} {TTL} 86400 {TTL}")


def _may_ask(known: Asked, source: IPv4Address, authority: Authority) -> bool:
    return known.domain.scope is DnsScope.PUBLIC or any(source in network for network in authority.inside)


def _text(name: dns.name.Name) -> str:
    """Return a name as our domains are written; escapes of what is in none of them stay as they are."""
    return name.to_text(omit_final_dot=True)


def _malformed(question: bytes) -> bytes | None:
    """Tell that a message can't be read, if it has a header and is no answer itself."""
    if question[2] & 0x80:
        return None
    return question[:2] + bytes((0x80 | question[2] & 0x79, dns.rcode.FORMERR)) + bytes(8)
