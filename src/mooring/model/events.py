"""What happened: who changed what, when, and by which request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mooring.model.ids import ProjectId, UserId


class Action(StrEnum):
    """Everything that is noted."""

    FLOATING_IP_ALLOCATE = "floating_ip.allocate"
    FLOATING_IP_RELEASE = "floating_ip.release"
    FLOATING_IP_ASSOCIATE = "floating_ip.associate"
    FLOATING_IP_DISASSOCIATE = "floating_ip.disassociate"
    FORWARDING_CREATE = "port_forwarding.create"
    FORWARDING_CHANGE = "port_forwarding.change"
    FORWARDING_DELETE = "port_forwarding.delete"
    INSTANCE_CREATE = "instance.create"
    INSTANCE_RENAME = "instance.rename"
    INSTANCE_STOP = "instance.stop"
    INSTANCE_START = "instance.start"
    INSTANCE_REBOOT = "instance.reboot"
    INSTANCE_DELETE = "instance.delete"
    INSTANCE_JOIN = "instance.join_group"
    INSTANCE_LEAVE = "instance.leave_group"
    NIC_CREATE = "nic.create"
    NIC_DELETE = "nic.delete"
    NIC_ATTACH = "nic.attach"
    NIC_CHANGE = "nic.change"
    NIC_DETACH = "nic.detach"
    GROUP_CREATE = "security_group.create"
    GROUP_CHANGE = "security_group.change"
    GROUP_DELETE = "security_group.delete"
    RULE_CREATE = "security_group_rule.create"
    RULE_DELETE = "security_group_rule.delete"
    PREFERENCE_CREATE = "egress_preference.create"
    PREFERENCE_CHANGE = "egress_preference.change"
    PREFERENCE_DELETE = "egress_preference.delete"
    NETWORK_CREATE = "network.create"
    NETWORK_CHANGE = "network.change"
    NETWORK_DELETE = "network.delete"
    SUBNET_CREATE = "subnet.create"
    SUBNET_CHANGE = "subnet.change"
    SUBNET_DELETE = "subnet.delete"
    ROUTER_CREATE = "router.create"
    ROUTER_CHANGE = "router.change"
    ROUTER_JOIN = "router.add_subnet"
    ROUTER_LEAVE = "router.remove_subnet"
    ROUTER_DELETE = "router.delete"
    SUBNET_POOL_CREATE = "subnet_pool.create"
    SUBNET_POOL_CHANGE = "subnet_pool.change"
    SUBNET_POOL_DELETE = "subnet_pool.delete"
    POOL_CREATE = "pool.create"
    POOL_CHANGE = "pool.change"
    POOL_DELETE = "pool.delete"
    POOL_GRANT = "pool.grant"
    POOL_WITHDRAW = "pool.withdraw"
    UPLINK_CHANGE = "uplink.change"
    UPLINK_DELETE = "uplink.delete"
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    PROJECT_DELETE = "project.delete"
    USER_CREATE = "user.create"
    USER_CHANGE = "user.change"
    USER_DELETE = "user.delete"
    ROLE_GIVE = "role.give"
    ROLE_TAKE = "role.take"
    KEY_CREATE = "key.create"
    KEY_DELETE = "key.delete"
    QUOTA_SET = "quota.set"
    TAGS_SET = "tags.set"


@dataclass(frozen=True, slots=True)
class Event:
    """A change that was made.

    `object` is the id of what was changed, and `project` whose it is, or of whom the change
    was made where it is nobody's; the event outlives both.  `user` and
    `user_name` are of whoever asked.  `number` grows with time; it is 0 before the event is stored, which also sets `at`.
    """

    action: Action
    object: str
    project: ProjectId
    user: UserId
    user_name: str
    request_id: str
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    number: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventChoice:
    """Which events are asked for, the newest first: of a thing, of an action, and older than the one with the number `before`."""

    object: str | None = None
    action: Action | None = None
    before: int | None = None
    limit: int = 1000
