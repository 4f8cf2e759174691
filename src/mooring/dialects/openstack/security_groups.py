"""Nova's os-security-groups and os-security-group-rules, the groups of a server, and the actions that change them.

Nova's networks knew rules for what comes in only, so the others are not shown here.  A rule about a group without a family of its own
appears once for IPv4 and once for IPv6, if the group has both.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from mooring.dialects.http import Json, Refused, shown
from mooring.dialects.openstack.bodies import Body, checked
from mooring.dialects.openstack.calls import FORM_TYPE, Answer, Call
from mooring.model.groups import GroupName, GroupRule, SecurityGroup
from mooring.model.ids import GroupId, InstanceId, RuleId, is_uuid
from mooring.model.nouns import Instance
from mooring.model.subjects import Direction
from mooring.operations import NewRule
from mooring.policy.rules import PORTED, protocol_name

_ANYBODY = {4: "0.0.0.0/0", 6: "::/0"}
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_MAX_DIGITS = 9


def _number(value: object) -> object:
    # Old clients and forms send numbers as texts; -1 and nothing mean any.
    if value in ("", None):
        return None
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) <= _MAX_DIGITS and value.isascii():
        value = int(value)
    return None if value == -1 and not isinstance(value, bool) else value


def _absent(value: object) -> object:
    return None if value == "" else value


def _text_of(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _absent(value)


Number = Annotated[int | None, BeforeValidator(_number)]
Word = Annotated[str | None, BeforeValidator(_text_of)]


class WantedGroup(Body):
    """A group to be made, or what it is called from now on."""

    name: str
    description: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = ""


class GroupBody(Body):
    """The body of POST and PUT /os-security-groups."""

    security_group: WantedGroup


class WantedRule(Body):
    """A rule to be made: -1 and null stand for any port, type or code."""

    parent_group_id: Annotated[str, BeforeValidator(_text_of)]
    ip_protocol: Word = None
    from_port: Number = None
    to_port: Number = None
    cidr: Word = None
    group_id: Word = None


class RuleBody(Body):
    """The body of POST /os-security-group-rules."""

    security_group_rule: WantedRule


class Membership(Body):
    """The inside of addSecurityGroup and removeSecurityGroup: a group by name or id."""

    name: str | None = None


# --------------------------------------------------------------------------------------------------------------- groups


def list_groups(call: Call) -> Answer:
    """GET /os-security-groups."""
    query = call.query
    every = query.get("all_tenants", "").lower() in _TRUE
    found = sorted(
        call.operations.groups.listing(call.caller, every_project=every), key=lambda group: (group.project, group.name)
    )
    first, most = _count(query, "offset"), _count(query, "limit")
    cut = found[first or 0 :]
    return Answer(body={"security_groups": [_view(group) for group in (cut if most is None else cut[:most])]})


def _count(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise Refused(400, f"Invalid input for query parameter {name}: must be a number from 0, not {shown(text)}.")
    return int(text)


def show_group(call: Call) -> Answer:
    """GET /os-security-groups/{group}."""
    return Answer(body={"security_group": _view(call.operations.groups.get(call.caller, _group_id(call)))})


def create_group(call: Call) -> Answer:
    """POST /os-security-groups."""
    wanted = checked(GroupBody, _wrapped(call, "security_group")).security_group
    made = call.operations.groups.create(call.caller, wanted.name, wanted.description, call.idempotency_key)
    return Answer(body={"security_group": _view(made)})


def update_group(call: Call) -> Answer:
    """PUT /os-security-groups/{group}."""
    wanted = call.read(GroupBody).security_group
    changed = call.operations.groups.update(call.caller, _group_id(call), wanted.name, wanted.description)
    return Answer(body={"security_group": _view(changed)})


def delete_group(call: Call) -> Answer:
    """DELETE /os-security-groups/{group}."""
    call.operations.groups.delete(call.caller, _group_id(call))
    return Answer(202)


# ---------------------------------------------------------------------------------------------------------------- rules


def create_rule(call: Call) -> Answer:
    """POST /os-security-group-rules."""
    wanted = checked(RuleBody, _wrapped(call, "security_group_rule")).security_group_rule
    call.words.update(
        protocol=shown(wanted.ip_protocol or ""),
        ports=f"{_said(wanted.from_port)}:{_said(wanted.to_port)}",
        cidr=shown(wanted.cidr or ""),
    )
    if not is_uuid(wanted.parent_group_id):
        raise Refused(400, f"Security group id is not a uuid: {shown(wanted.parent_group_id)}")
    if wanted.group_id is None and (wanted.ip_protocol is None or _lacks_ports(wanted)):
        raise Refused(400, "Not enough parameters to build a valid rule.")
    new = NewRule(
        direction=Direction.INGRESS,
        protocol=wanted.ip_protocol,
        first=wanted.from_port,
        last=wanted.to_port,
        prefix=wanted.cidr or (_ANYBODY[4] if wanted.group_id is None else None),
        remote=wanted.group_id,
    )
    made = call.operations.groups.add_rule(call.caller, GroupId(wanted.parent_group_id), new, call.idempotency_key)
    return Answer(body={"security_group_rule": _rule_view(made, call.caller.project.id)})


def _lacks_ports(wanted: WantedRule) -> bool:
    return "from_port" not in wanted.model_fields_set or "to_port" not in wanted.model_fields_set


def delete_rule(call: Call) -> Answer:
    """DELETE /os-security-group-rules/{rule}."""
    call.operations.groups.delete_rule(call.caller, RuleId(call.params["rule"]))
    return Answer(202)


# -------------------------------------------------------------------------------------------------------------- servers


def list_groups_of_server(call: Call) -> Answer:
    """GET /servers/{server}/os-security-groups."""
    server = call.operations.instances.get(call.caller, InstanceId(call.params["server"]))
    groups = [call.operations.groups.get(call.caller, name.id) for name in _groups_of(server)]
    return Answer(body={"security_groups": [_view(group) for group in groups]})


def add(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action addSecurityGroup."""
    call.operations.groups.join(call.caller, InstanceId(call.params["server"]), _named(inside))
    return Answer(202)


def remove(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action removeSecurityGroup."""
    call.operations.groups.leave(call.caller, InstanceId(call.params["server"]), _named(inside))
    return Answer(202)


def _named(inside: Mapping[str, object]) -> str:
    name = checked(Membership, inside).name
    if name is None:
        raise Refused(400, "Security group not specified")
    if not name.strip():
        raise Refused(400, "Security group name cannot be empty")
    return name


# --------------------------------------------------------------------------------------------------------------- shared


def _wrapped(call: Call, name: str) -> Json:
    """Return the body; a form, which the openstack command 7.0 to 9.0 sends, has no object around it."""
    body = call.json_or_form()
    return {name: body} if call.media_type == FORM_TYPE else body


def _group_id(call: Call) -> GroupId:
    return GroupId(call.params["group"])


def _said(number: int | None) -> int:
    return -1 if number is None else number


def _groups_of(server: Instance) -> list[GroupName]:
    return sorted({name for nic in server.nics for name in nic.groups})


def group_names(server: Instance) -> list[dict[str, str]]:
    """Return the groups of a server as nova names them there."""
    return [{"name": name.name} for name in _groups_of(server)]


def _view(group: SecurityGroup) -> dict[str, object]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project,
        "rules": [_rule_view(rule, group.project) for rule in group.rules if rule.direction is Direction.INGRESS],
    }


def _rule_view(rule: GroupRule, project: str) -> dict[str, object]:
    first, last = _ports(rule)
    anybody = rule.remote is None
    return {
        "id": rule.id,
        "parent_group_id": rule.group,
        "ip_protocol": protocol_name(rule.protocol),
        "from_port": first,
        "to_port": last,
        "group": {} if anybody else {"name": rule.remote_name, "tenant_id": project},
        "ip_range": {"cidr": str(rule.prefix or _ANYBODY[rule.family])} if anybody else {},
    }


def _ports(rule: GroupRule) -> tuple[int | None, int | None]:
    if rule.protocol is None:
        return None, None
    if rule.first is None and rule.protocol in PORTED:
        return 1, 65535
    return _said(rule.first), _said(rule.last)
