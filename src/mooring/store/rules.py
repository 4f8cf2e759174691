"""Rules of security groups from their rows."""

from datetime import datetime
from ipaddress import ip_network

from sqlalchemy import Row, Select, select

from mooring.model.groups import GroupRule
from mooring.model.ids import GroupId, RuleId
from mooring.model.subjects import Direction
from mooring.store.marks import marks_of
from mooring.store.schema import security_group_rules, security_groups

_REMOTES = security_groups.alias("remotes")
RULES = (
    select(
        security_group_rules.c.id,
        security_group_rules.c.group_id,
        security_group_rules.c.direction,
        security_group_rules.c.family,
        security_group_rules.c.protocol,
        security_group_rules.c.first,
        security_group_rules.c.last,
        security_group_rules.c.prefix,
        security_group_rules.c.remote,
        _REMOTES.c.name,
        _REMOTES.c.number,
        security_group_rules.c.revision,
        security_group_rules.c.created,
        security_group_rules.c.updated,
    )
    .outerjoin(_REMOTES, _REMOTES.c.id == security_group_rules.c.remote)
    .order_by(security_group_rules.c.seq)
)
RuleFields = Row[
    RuleId,
    GroupId,
    str,
    int,
    int | None,
    int | None,
    int | None,
    str | None,
    GroupId | None,
    str,
    int,
    int,
    datetime,
    datetime,
]
RuleSelect = Select[
    RuleId,
    GroupId,
    str,
    int,
    int | None,
    int | None,
    int | None,
    str | None,
    GroupId | None,
    str,
    int,
    int,
    datetime,
    datetime,
]


def group_rule(row: RuleFields) -> tuple[GroupRule, int | None]:
    """Return a rule, and the number of the group that it refers to."""
    rule, group, direction, family, protocol, first, last, prefix, remote, remote_name, number, *_ = row
    made = GroupRule(
        id=rule,
        group=group,
        direction=Direction(direction),
        family=family,
        protocol=protocol,
        first=first,
        last=last,
        prefix=ip_network(prefix) if prefix is not None else None,
        remote=remote,
        remote_name=remote_name,
        marks=marks_of(*row[11:14]),
    )
    return made, None if remote is None else number
