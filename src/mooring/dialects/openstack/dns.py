"""Nova's os-floating-ip-dns: domains, and names of floating IPs in them."""

from collections.abc import Callable, Sequence
from functools import wraps
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import BeforeValidator

from mooring.dialects.http import Refused, shown, storable
from mooring.dialects.openstack.bodies import Body, Ipv4, Name
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.names import DnsDomain, DnsEntry, DnsScope

# Without a name of its own a zone is where everything is, see zones.py.
_ZONE = "nova"
Handler = Callable[[Call], Answer]


class WantedDomain(Body):
    """A domain: a public one may be one project's, a private one a zone's."""

    scope: Literal["public", "private"]
    project: Name | None = None
    availability_zone: Name | None = None
    # Clients repeat it here.
    domain: Name | None = None


class DomainBody(Body):
    """The body of PUT /os-floating-ip-dns/{dns_domain}."""

    domain_entry: WantedDomain


class WantedEntry(Body):
    """What a name is for."""

    ip: Ipv4
    dns_type: Annotated[Literal["A"], BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)]


class EntryBody(Body):
    """The body of PUT /os-floating-ip-dns/{dns_domain}/entries/{entry}."""

    dns_entry: WantedEntry


def _offered(handler: Handler) -> Handler:
    """Let a handler answer only where somebody answers for names."""

    @wraps(handler)
    def answer(call: Call) -> Answer:
        if not call.operations.names.offered:
            raise Refused(501, "There is no DNS here: the configuration has no section [dns].")
        return handler(call)

    return answer


@_offered
def list_domains(call: Call) -> Answer:
    """GET /os-floating-ip-dns."""
    return Answer(body={"domain_entries": [_domain_view(each) for each in call.operations.names.domains(call.caller)]})


@_offered
def save_domain(call: Call) -> Answer:
    """PUT /os-floating-ip-dns/{dns_domain}."""
    wanted = call.read(DomainBody).domain_entry
    scope = DnsScope(wanted.scope)
    if scope is DnsScope.PUBLIC and wanted.availability_zone is not None:
        raise Refused(400, "you can not pass av_zone if the scope is public")
    if wanted.availability_zone not in (None, _ZONE):
        raise Refused(400, f"Invalid input for field domain_entry.availability_zone: there is only {_ZONE}.")
    made = call.operations.names.save_domain(call.caller, _plain(call.params["dns_domain"]), scope, wanted.project)
    return Answer(body={"domain_entry": _domain_view(made)})


@_offered
def delete_domain(call: Call) -> Answer:
    """DELETE /os-floating-ip-dns/{dns_domain}."""
    call.operations.names.delete_domain(call.caller, _plain(call.params["dns_domain"]))
    return Answer(202)


@_offered
def list_entries(call: Call) -> Answer:
    """GET /os-floating-ip-dns/{dns_domain}/entries: the project's, or with `ip`, as novaclient asks and Essex answered, an address's."""
    text = call.query.get("ip")
    if text is None:
        found = call.operations.names.of_domain(call.caller, _plain(call.params["dns_domain"]))
        return Answer(body={"dns_entries": [_entry_view(each) for each in found]})
    address = _address(text)
    if address is None:
        raise Refused(400, f"Invalid input for query parameter ip: {shown(text)} is no IPv4 address.")
    return Answer(body={"dns_entries": _entries_of(call, address)})


@_offered
def show_entry(call: Call) -> Answer:
    """GET /os-floating-ip-dns/{dns_domain}/entries/{entry}: one by name, or all of an address."""
    text = _plain(call.params["entry"])
    address = _address(text)
    if address is None:
        found = call.operations.names.entry(call.caller, _plain(call.params["dns_domain"]), text)
        return Answer(body={"dns_entry": _entry_view(found)})
    views = _entries_of(call, address)
    if not views:
        raise NotFound("DNS entry", address)
    return Answer(body={"dns_entries": views})


@_offered
def save_entry(call: Call) -> Answer:
    """PUT /os-floating-ip-dns/{dns_domain}/entries/{entry}."""
    wanted = call.read(EntryBody).dns_entry
    domain, name = _plain(call.params["dns_domain"]), _plain(call.params["entry"])
    return Answer(
        body={"dns_entry": _entry_view(call.operations.names.save_entry(call.caller, domain, name, wanted.ip))}
    )


@_offered
def delete_entry(call: Call) -> Answer:
    """DELETE /os-floating-ip-dns/{dns_domain}/entries/{entry}."""
    domain, name = _plain(call.params["dns_domain"]), _plain(call.params["entry"])
    call.operations.names.delete_entry(call.caller, domain, name)
    return Answer(202)


def _entries_of(call: Call, address: IPv4Address) -> Sequence[dict[str, object]]:
    found = call.operations.names.of_address(call.caller, _plain(call.params["dns_domain"]), address)
    return [_entry_view(each) for each in found]


def _plain(text: str) -> str:
    """Return a segment as it was meant: novaclient escapes dots, and then all of it once more."""
    plain = unquote(text, errors="replace")
    if not storable(plain):
        raise Refused(404, "The resource could not be found.")
    return plain


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _domain_view(domain: DnsDomain) -> dict[str, object]:
    return {
        "domain": domain.name,
        "scope": domain.scope.value,
        "project": domain.project,
        "availability_zone": _ZONE if domain.scope is DnsScope.PRIVATE else None,
    }


def _entry_view(entry: DnsEntry) -> dict[str, object]:
    return {"ip": str(entry.address), "id": None, "type": "A", "domain": entry.domain, "name": entry.name}
