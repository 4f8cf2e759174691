"""Allowed addresses of the simulated database: none, for no client of the simulation asks for any."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mooring.model.ids import AddressId, NetworkId, NicId, ProjectId
from mooring.model.records import NicRow


class Allowances:
    """See mooring.operations.interfaces_of_allowances.Allowances."""

    def claim(
        self, network: NetworkId, address: IPv4Address | IPv6Address, project: ProjectId, own: AddressId | None
    ) -> bool:
        raise AssertionError(f"the simulation has no allowed addresses, and {address} of {project} at {own} is one")

    def add(self, nic: NicRow, prefix: IPv4Network | IPv6Network) -> None:
        raise AssertionError(f"the simulation has no allowed addresses, and {prefix} of {nic} is one")

    def leave(self, nic: NicId, prefixes: Collection[IPv4Network | IPv6Network], generation: int) -> None:
        raise AssertionError(f"nobody in the simulation has {prefixes} of {nic} to lose")

    def leaving(self, nic: NicId) -> int:
        return 0

    def sharers(self, nic: NicId) -> Sequence[NicId]:
        return ()

    def confirmed(self, nic: NicId) -> None:
        pass

    def forget(self, nic: NicId) -> None:
        pass
