"""The one door: every change of intent is one call here, and every call one database transaction.

Whoever speaks to mooring, in whatever dialect, ends up in a method of one of these classes; rights, quotas, conflicts and idempotency are
decided here and nowhere else.  Methods take explicit arguments, return values of the model and raise a Fault.
"""

from mooring.operations.accounts import AccountOperations, NewProject, NewUser, ProjectChange, UserChange
from mooring.operations.addresses import AddressOperations, NewFloatingIp
from mooring.operations.associations import AUTOMATIC
from mooring.operations.attachments import AttachmentOperations
from mooring.operations.bootstrap import BootstrapOperations
from mooring.operations.door import Card, Door, Limits
from mooring.operations.egress import EgressOperations, NewPreference, NewWay
from mooring.operations.events import EventOperations
from mooring.operations.foreign import Authority, ForeignCallers, Remembering
from mooring.operations.forwardings import ForwardingChange, ForwardingOperations, NewForwarding
from mooring.operations.grants import GrantOperations
from mooring.operations.groups import GroupOperations
from mooring.operations.hosts import HostOperations
from mooring.operations.identity import IdentityOperations
from mooring.operations.instances import InstanceOperations, NewInstance, NewNic
from mooring.operations.interfaces import FloatingChoice
from mooring.operations.keys import KeyOperations, NewKey
from mooring.operations.launches import LaunchOperations
from mooring.operations.memory import MemoryOperations
from mooring.operations.names import NameOperations
from mooring.operations.networks import NetworkOperations, NewNetwork
from mooring.operations.nics import NicChange, NicOperations
from mooring.operations.own_networks import NewSubnet, OwnNetworkOperations, SubnetChange
from mooring.operations.own_nics import NewOwnNic, OwnNicOperations
from mooring.operations.own_routers import OwnRouterOperations, RouterChange
from mooring.operations.passwords import Passwords
from mooring.operations.pools import NewPool, PoolChange, PoolOperations
from mooring.operations.power import PowerOperations
from mooring.operations.quotas import QuotaOperations
from mooring.operations.ranges import PoolAddress, RangeOperations
from mooring.operations.settlement import SettlementOperations
from mooring.operations.subnet_pools import NewSubnetPool, SubnetPoolChange, SubnetPoolOperations
from mooring.operations.tags import TagOperations
from mooring.operations.uplinks import UplinkOperations
from mooring.policy.rules import NewRule

__all__ = [
    "AUTOMATIC",
    "Authority",
    "Card",
    "Door",
    "FloatingChoice",
    "ForwardingChange",
    "Limits",
    "NewFloatingIp",
    "NewForwarding",
    "NewInstance",
    "NewKey",
    "NewNetwork",
    "NewNic",
    "NewOwnNic",
    "NewPool",
    "NewPreference",
    "NewProject",
    "NewRule",
    "NewSubnet",
    "NewSubnetPool",
    "NewUser",
    "NewWay",
    "NicChange",
    "Operations",
    "PoolAddress",
    "PoolChange",
    "ProjectChange",
    "Remembering",
    "RouterChange",
    "SubnetChange",
    "SubnetPoolChange",
    "UserChange",
]


class Operations:
    """All operations, by noun."""

    def __init__(
        self,
        door: Door,
        unguarded: Door | None = None,
        authority: Authority | None = None,
        remembering: Remembering | None = None,
    ) -> None:
        """Build the operations on one door, or on another one those that concern no host and may go on where others must not.

        With an `authority`, callers are whom that knows, and its answers are believed as `remembering` says.
        """
        people = unguarded or door
        passwords = Passwords(people.chance)
        foreign = ForeignCallers(people, authority, remembering) if authority is not None else None
        self.identity = IdentityOperations(people, passwords, foreign)
        self.accounts = AccountOperations(people, passwords)
        self.keys = KeyOperations(people, passwords)
        self.bootstrap = BootstrapOperations(people, passwords)
        self.addresses = AddressOperations(door)
        self.egress = EgressOperations(door)
        self.forwardings = ForwardingOperations(door)
        self.instances = InstanceOperations(door)
        self.attachments = AttachmentOperations(door)
        self.groups = GroupOperations(door)
        self.events = EventOperations(door)
        self.memory = MemoryOperations(door)
        self.names = NameOperations(door)
        self.networks = NetworkOperations(door)
        self.nics = NicOperations(door)
        self.own_nics = OwnNicOperations(door)
        self.own_networks = OwnNetworkOperations(door)
        self.own_routers = OwnRouterOperations(door)
        self.subnet_pools = SubnetPoolOperations(door)
        self.pools = PoolOperations(door)
        self.power = PowerOperations(door)
        self.grants = GrantOperations(door)
        self.quotas = QuotaOperations(door)
        self.ranges = RangeOperations(door)
        self.uplinks = UplinkOperations(door)
        self.hosts = HostOperations(door)
        self.launches = LaunchOperations(door)
        self.tags = TagOperations(door)
        self.settlement = SettlementOperations(door)
