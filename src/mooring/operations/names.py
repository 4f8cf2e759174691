"""Names of floating IPs: domains, which administrators make, and the names that projects give in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import ProjectId
from mooring.model.names import DnsDomain, DnsEntry, DnsScope
from mooring.operations.door import Door
from mooring.operations.interfaces import Transaction
from mooring.policy.hostnames import domain_fault, label_fault
from mooring.policy.roles import Verb

MOST_NAMES = 16
"""A floating IP may have so many: with the quota of floating IPs, that bounds the names of a project."""

_MOST_DOMAINS = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """What there is to say of a name: the domain that it is in, whether it is that itself, and its address if it is somebody's."""

    domain: DnsDomain
    is_domain: bool
    address: IPv4Address | None = None


class NameOperations:
    """Domains and names.  A change holds for the next question: whoever answers looks here."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    @property
    def offered(self) -> bool:
        """Whether somebody answers for names."""
        return self._door.limits.names

    def ask(self, name: str) -> Asked | None:
        """Return what there is to say of a name, in whatever case and without a dot at its end; None if it is in no domain."""
        labels = name.lower().split(".")
        suffixes = [".".join(labels[first:]) for first in range(len(labels))]
        with self._door.store.read() as tx:
            domain = tx.names.zone_of(suffixes)
            if domain is None:
                return None
            inside = labels[: len(labels) - domain.name.count(".") - 1]
            entry = tx.names.entry(domain.name, inside[0]) if len(inside) == 1 else None
        return Asked(domain, not inside, entry.address if entry is not None else None)

    def domains(self, caller: Caller) -> Sequence[DnsDomain]:
        """Return the domains in which the caller may give names, and for administrators all, by name."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return [domain for domain in tx.names.domains() if _is_open(caller, domain)]

    def save_domain(self, caller: Caller, name: str, scope: DnsScope, project: str | None = None) -> DnsDomain:
        """Make a domain, for one project by id or name or for all of them; one that is there and has no names may change.

        Raises:
            Invalid: what can't be a domain; or a private one for a project.
            NotFound: there is no such project.
            Conflict: there are names in it, and it would be another one; or there are as many domains as there may be.
        """
        self._door.allow(caller, Verb.DOMAIN_ADMIN)
        name = _domain_name(name)
        if scope is DnsScope.PRIVATE and project is not None:
            raise Invalid("project", "you can not pass project if the scope is private")
        with self._door.store.write() as tx:
            domain = DnsDomain(name, scope, _project(tx, project))
            known = tx.names.domain(name)
            if known == domain:
                return domain
            if known is not None and tx.names.is_used(name):
                raise Conflict(f"There are names in DNS domain {name}.")
            if known is None and len(tx.names.domains()) >= _MOST_DOMAINS:
                raise Conflict(f"There are {_MOST_DOMAINS} DNS domains.")
            tx.names.put_domain(domain)
        return domain

    def delete_domain(self, caller: Caller, name: str) -> None:
        """Delete a domain and all names in it.

        Raises:
            NotFound: there is no such domain.
        """
        self._door.allow(caller, Verb.DOMAIN_ADMIN)
        with self._door.store.write() as tx:
            if not tx.names.delete_domain(name.lower()):
                raise NotFound("DNS domain", name)

    def entry(self, caller: Caller, domain: str, name: str) -> DnsEntry:
        """Return a name of the project's.

        Raises:
            NotFound: there is no such domain for the caller, or the project has no such name in it.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return _entry(tx, caller, domain, name)

    def of_address(self, caller: Caller, domain: str, address: IPv4Address) -> Sequence[DnsEntry]:
        """Return the names in a domain of one of the project's floating IPs.

        Raises:
            NotFound: there is no such domain for the caller.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            known = _domain(tx, caller, domain)
            floating = tx.addresses.floating_by_address(address)
            found = tx.names.of_address(floating.id) if floating is not None else ()
        return [entry for entry in found if entry.domain == known.name and _is_own(caller, entry)]

    def of_domain(self, caller: Caller, domain: str) -> Sequence[DnsEntry]:
        """Return the project's names in a domain.

        Raises:
            NotFound: there is no such domain for the caller.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.names.of_domain(_domain(tx, caller, domain).name, caller.project.id)

    def save_entry(self, caller: Caller, domain: str, name: str, address: IPv4Address) -> DnsEntry:
        """Give a name to one of the project's floating IPs, or let one of the project's names be another floating IP's.

        Raises:
            NotFound: there is no such domain for the caller.
            Invalid: what can't be a name; or the project has no such floating IP.
            Conflict: the name is another project's.
            QuotaExceeded: the floating IP has as many names as it may.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        name = name.lower()
        if (reason := label_fault(name)) is not None:
            raise Invalid("name", reason)
        with self._door.store.write() as tx:
            zone = _domain(tx, caller, domain)
            floating = tx.addresses.floating_by_address(address)
            if floating is None or floating.project != caller.project.id:
                raise Invalid("ip", f"{address} is no floating IP of the project")
            known = tx.names.entry(zone.name, name)
            if known is not None and known.project != caller.project.id:
                raise Conflict(f"The name {name}.{zone.name} is taken.", field="name")
            if known is None or known.floating != floating.id:
                if len(tx.names.of_address(floating.id)) >= MOST_NAMES:
                    raise QuotaExceeded("names of a floating IP", MOST_NAMES)
                tx.names.put_entry(zone.name, name, floating.id)
        return DnsEntry(zone.name, name, address, floating.id, floating.project)

    def delete_entry(self, caller: Caller, domain: str, name: str) -> None:
        """Take a name away.

        Raises:
            NotFound: there is no such domain for the caller, or the project has no such name in it.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            entry = _entry(tx, caller, domain, name)
            tx.names.delete_entry(entry.domain, entry.name)


def _domain_name(text: str) -> str:
    name = text.lower()
    if (reason := domain_fault(name)) is not None:
        raise Invalid("domain", reason)
    return name


def _project(tx: Transaction, name: str | None) -> ProjectId | None:
    if name is None:
        return None
    found = tx.identities.project(ProjectId(name)) or tx.identities.project_by_name(name)
    if found is None:
        raise NotFound("Project", name)
    return found.id


def _is_open(caller: Caller, domain: DnsDomain) -> bool:
    return caller.is_admin or domain.project in (None, caller.project.id)


def _is_own(caller: Caller, entry: DnsEntry) -> bool:
    return caller.is_admin or entry.project == caller.project.id


def _domain(tx: Transaction, caller: Caller, name: str) -> DnsDomain:
    found = tx.names.domain(name.lower())
    if found is None or not _is_open(caller, found):
        raise NotFound("DNS domain", name)
    return found


def _entry(tx: Transaction, caller: Caller, domain: str, name: str) -> DnsEntry:
    found = tx.names.entry(_domain(tx, caller, domain).name, name.lower())
    if found is None or not _is_own(caller, found):
        raise NotFound("DNS entry", name)
    return found
