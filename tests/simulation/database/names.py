"""Names of the simulated database: none, for no client of the simulation gives any."""

from collections.abc import Collection, Sequence

from mooring.model.ids import AddressId, ProjectId
from mooring.model.names import DnsDomain, DnsEntry


class Names:
    """See mooring.operations.interfaces_of_names.Names."""

    def domain(self, name: str) -> DnsDomain | None:
        return None

    def domains(self) -> Sequence[DnsDomain]:
        return ()

    def zone_of(self, names: Collection[str]) -> DnsDomain | None:
        return None

    def put_domain(self, domain: DnsDomain) -> None:
        raise AssertionError(f"the simulation has no domains, and {domain} is one")

    def delete_domain(self, name: str) -> bool:
        return False

    def entry(self, domain: str, name: str) -> DnsEntry | None:
        return None

    def is_used(self, domain: str) -> bool:
        return False

    def of_domain(self, domain: str, project: ProjectId) -> Sequence[DnsEntry]:
        return ()

    def of_address(self, address: AddressId) -> Sequence[DnsEntry]:
        return ()

    def put_entry(self, domain: str, name: str, address: AddressId) -> None:
        raise AssertionError(f"the simulation has no domains, and {domain} is one, of {name} and {address}")

    def delete_entry(self, domain: str, name: str) -> bool:
        return False

    def forget(self, address: AddressId) -> None:
        pass
