"""Tables of the names that projects give to their floating IPs."""

from sqlalchemy import Index, Named, Table, UniqueConstraint

from mooring.model.ids import AddressId, ProjectId
from mooring.model.names import DnsScope
from mooring.store.schema.columns import Listed, given, metadata, one_of, own_id, some_text, to


class DomainColumns(Listed):
    """Domains; `name` is as it is asked for, in small letters and without a dot at its end."""

    name: Named[str] = own_id()
    scope: Named[str] = some_text()
    project: Named[ProjectId | None] = to("projects.id", optional=True)


dns_domains = Table(
    "dns_domains",
    metadata,
    DomainColumns,
    one_of("scope", DnsScope),
    given("dns_domains", "project"),
)


class EntryColumns(Listed):
    """Names: one label each, and whose they are says the floating IP."""

    domain: Named[str] = to("dns_domains.name", action="CASCADE")
    name: Named[str] = some_text()
    address: Named[AddressId] = to("addresses.id", action="CASCADE")


dns_entries = Table(
    "dns_entries",
    metadata,
    EntryColumns,
    UniqueConstraint("domain", "name"),
    Index(None, "address"),
)
