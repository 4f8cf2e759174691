"""The one door: every change of intent is one call here, and every call one database transaction.

Whoever speaks to mooring, in whatever dialect, ends up in a method of one of these classes; rights, quotas, conflicts and idempotency are
decided here and nowhere else.  Methods take explicit arguments, return values of the model and raise a Fault.
"""

from mooring.operations.addresses import AddressOperations, NewFloatingIp
from mooring.operations.door import Door, Limits
from mooring.operations.groups import GroupOperations
from mooring.operations.hosts import HostOperations
from mooring.operations.identity import IdentityOperations
from mooring.operations.instances import InstanceOperations, NewInstance, NewNic
from mooring.operations.launches import LaunchOperations
from mooring.operations.networks import NetworkOperations, NewNetwork
from mooring.operations.pools import NewPool, PoolOperations
from mooring.operations.settlement import SettlementOperations
from mooring.policy.rules import NewRule

__all__ = ["Door", "Limits", "NewFloatingIp", "NewInstance", "NewNetwork", "NewNic", "NewPool", "NewRule", "Operations"]


class Operations:
    """All operations, by noun."""

    def __init__(self, door: Door) -> None:
        """Build the operations on one door."""
        self.identity = IdentityOperations(door)
        self.addresses = AddressOperations(door)
        self.instances = InstanceOperations(door)
        self.groups = GroupOperations(door)
        self.networks = NetworkOperations(door)
        self.pools = PoolOperations(door)
        self.hosts = HostOperations(door)
        self.launches = LaunchOperations(door)
        self.settlement = SettlementOperations(door)
