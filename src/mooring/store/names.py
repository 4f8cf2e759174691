"""Domains and the names of floating IPs in the database."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address

from sqlalchemy import Select, bindparam, delete, func, select

from mooring.model.ids import AddressId, ProjectId
from mooring.model.names import DnsDomain, DnsEntry, DnsScope
from mooring.store.schema import addresses, dns_domains, dns_entries
from mooring.store.session import Session

_DOMAINS = select(dns_domains.c.name, dns_domains.c.scope, dns_domains.c.project)
_DOMAIN = _DOMAINS.where(dns_domains.c.name == bindparam("domain"))
_ALL = _DOMAINS.order_by(dns_domains.c.name)
_ZONE = (
    _DOMAINS.where(dns_domains.c.name.in_(bindparam("names", expanding=True)))
    .order_by(func.length(dns_domains.c.name).desc())
    .limit(1)
)
_DROP_DOMAIN = delete(dns_domains).where(dns_domains.c.name == bindparam("domain"))
_ENTRIES = (
    select(dns_entries.c.domain, dns_entries.c.name, addresses.c.position, addresses.c.id, addresses.c.project)
    .join(addresses, addresses.c.id == dns_entries.c.address)
    .where(~addresses.c.releasing)
)
_ENTRY = _ENTRIES.where(dns_entries.c.domain == bindparam("domain"), dns_entries.c.name == bindparam("name"))
_OF_DOMAIN = _ENTRIES.where(
    dns_entries.c.domain == bindparam("domain"), addresses.c.project == bindparam("project")
).order_by(dns_entries.c.name)
_USED = _ENTRIES.where(dns_entries.c.domain == bindparam("domain")).limit(1)
_OF_ADDRESS = _ENTRIES.where(dns_entries.c.address == bindparam("address")).order_by(dns_entries.c.seq)
_DROP_ENTRY = delete(dns_entries).where(
    dns_entries.c.domain == bindparam("domain"), dns_entries.c.name == bindparam("name")
)
_FORGET = delete(dns_entries).where(dns_entries.c.address == bindparam("address"))


EntrySelect = Select[str, str, int, AddressId, ProjectId | None]


class Names:
    """See mooring.operations.interfaces_of_names.Names."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def domain(self, name: str) -> DnsDomain | None:
        row = self._session.row(_DOMAIN, domain=name)
        return DnsDomain(row[0], DnsScope(row[1]), row[2]) if row else None

    def domains(self) -> Sequence[DnsDomain]:
        return [DnsDomain(name, DnsScope(scope), project) for name, scope, project in self._session.rows(_ALL)]

    def zone_of(self, names: Collection[str]) -> DnsDomain | None:
        row = self._session.row(_ZONE, names=sorted(names))
        return DnsDomain(row[0], DnsScope(row[1]), row[2]) if row else None

    def put_domain(self, domain: DnsDomain) -> None:
        statement = self._session.flavour.insert(dns_domains)
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[dns_domains.c.name],
                set_={"scope": statement.excluded.scope, "project": statement.excluded.project},
            ).inline(),
            name=domain.name,
            scope=domain.scope.value,
            project=domain.project,
        )

    def delete_domain(self, name: str) -> bool:
        return self._session.change(_DROP_DOMAIN, domain=name) == 1

    def entry(self, domain: str, name: str) -> DnsEntry | None:
        return next(iter(self._read(_ENTRY, domain=domain, name=name)), None)

    def is_used(self, domain: str) -> bool:
        return self._session.row(_USED, domain=domain) is not None

    def of_domain(self, domain: str, project: ProjectId) -> Sequence[DnsEntry]:
        return self._read(_OF_DOMAIN, domain=domain, project=project)

    def of_address(self, address: AddressId) -> Sequence[DnsEntry]:
        return self._read(_OF_ADDRESS, address=address)

    def _read(self, statement: EntrySelect, **parameters: object) -> Sequence[DnsEntry]:
        return [
            DnsEntry(domain, name, IPv4Address(position), address, project)
            for domain, name, position, address, project in self._session.rows(statement, **parameters)
            if project is not None  # as it is of every floating IP
        ]

    def put_entry(self, domain: str, name: str, address: AddressId) -> None:
        statement = self._session.flavour.insert(dns_entries)
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[dns_entries.c.domain, dns_entries.c.name],
                set_={"address": statement.excluded.address},
            ).inline(),
            domain=domain,
            name=name,
            address=address,
        )

    def delete_entry(self, domain: str, name: str) -> bool:
        return self._session.change(_DROP_ENTRY, domain=domain, name=name) == 1

    def forget(self, address: AddressId) -> None:
        self._session.change(_FORGET, address=address)
