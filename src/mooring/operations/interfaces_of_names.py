"""What operations need of a store for names of floating IPs; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mooring.model.ids import AddressId, ProjectId
from mooring.model.names import DnsDomain, DnsEntry


class Names(Protocol):
    """Domains, and names in them.  Names go with their domain; those of an address that is being released are gone."""

    def domain(self, name: str) -> DnsDomain | None: ...
    def domains(self) -> Sequence[DnsDomain]: ...

    def zone_of(self, names: Collection[str]) -> DnsDomain | None:
        """Return the longest of some names that is a domain."""
        ...

    def put_domain(self, domain: DnsDomain) -> None:
        """Insert a domain, or replace its scope and project."""
        ...

    def delete_domain(self, name: str) -> bool:
        """Delete a domain with all names in it; False if there is none."""
        ...

    def entry(self, domain: str, name: str) -> DnsEntry | None: ...

    def is_used(self, domain: str) -> bool:
        """Say whether there are names in a domain."""
        ...

    def of_domain(self, domain: str, project: ProjectId) -> Sequence[DnsEntry]:
        """Return a project's names in a domain, by name."""
        ...

    def of_address(self, address: AddressId) -> Sequence[DnsEntry]:
        """Return the names of a floating IP, in all domains."""
        ...

    def put_entry(self, domain: str, name: str, address: AddressId) -> None:
        """Insert a name, or let it be another floating IP's."""
        ...

    def delete_entry(self, domain: str, name: str) -> bool:
        """Delete a name; False if there is none."""
        ...

    def forget(self, address: AddressId) -> None:
        """Delete the names of a floating IP."""
        ...
