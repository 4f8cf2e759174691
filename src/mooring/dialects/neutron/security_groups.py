"""Security groups and their rules: what ports may send and receive, IPv4 and IPv6."""

from ipaddress import ip_interface
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import expecting, marked, tagged
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.groups import GroupRule, SecurityGroup
from mooring.model.ids import GroupId, RuleId
from mooring.model.subjects import Direction
from mooring.operations import NewRule
from mooring.policy.rules import ICMP, PORTED, PROTOCOLS, protocol_name

_FAMILIES = {"IPv4": 4, "IPv6": 6}
_ETHERTYPES = {family: name for name, family in _FAMILIES.items()}
_PORTS = range(1, 65536)
_BYTE = range(256)
_MAX_DIGITS = 9


def _number(value: object) -> object:
    # Clients send numbers as texts too.
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii() and len(value) <= _MAX_DIGITS:
        return int(value)
    return value


def _word(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _direction(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _ethertype(value: object) -> object:
    known = {name.lower(): name for name in _FAMILIES}
    return known.get(value.lower(), value) if isinstance(value, str) else value


Number = Annotated[int | None, BeforeValidator(_number)]
Protocol = Annotated[str | None, BeforeValidator(_word)]
Text = Annotated[str, Field(max_length=255)]


class WantedGroup(Body):
    """A group to be made."""

    name: Text
    description: Text | None = None
    tenant_id: Name | None = None
    project_id: Name | None = None
    stateful: Literal[True] = True


class GroupChange(Body):
    """What changes of a group."""

    name: Text | None = None
    description: Text | None = None
    stateful: Literal[True] = True


class CreateGroup(Body):
    """The body of POST /security-groups."""

    security_group: WantedGroup


class UpdateGroup(Body):
    """The body of PUT /security-groups/{group}."""

    security_group: GroupChange


class WantedRule(Body):
    """A rule to be made.  For ICMP, `port_range_min` is a type and `port_range_max` a code."""

    security_group_id: Name
    direction: Annotated[Literal["ingress", "egress"], BeforeValidator(_direction)]
    ethertype: Annotated[Literal["IPv4", "IPv6"], BeforeValidator(_ethertype)] = "IPv4"
    protocol: Protocol = None
    port_range_min: Number = None
    port_range_max: Number = None
    remote_ip_prefix: Text | None = None
    remote_group_id: Name | None = None
    remote_address_group_id: NotOffered = None
    description: NotOffered = None
    tenant_id: Name | None = None
    project_id: Name | None = None


class CreateRule(Body):
    """The body of POST /security-group-rules."""

    security_group_rule: WantedRule


# ----------------------------------------------------------------------------------------------------------------- groups


def list_groups(call: Call) -> Answer:
    """GET /network/v2.0/security-groups."""
    groups = call.operations.groups.listing(call.caller, every_project=True)
    return collection(call, "security_groups", [_view(group) for group in groups])


def show_group(call: Call) -> Answer:
    """GET /network/v2.0/security-groups/{group}."""
    return single(call, "security_group", _view(call.operations.groups.get(call.caller, _id(call))))


def create_group(call: Call) -> Answer:
    """POST /network/v2.0/security-groups."""
    wanted = call.read(CreateGroup).security_group
    check_owner(call, wanted.tenant_id, wanted.project_id)
    made = call.operations.groups.create(call.caller, wanted.name, wanted.description or "", call.idempotency_key)
    return single(call, "security_group", _view(made), 201)


def update_group(call: Call) -> Answer:
    """PUT /network/v2.0/security-groups/{group}."""
    wanted = call.read(UpdateGroup).security_group
    changed = call.operations.groups.update(expecting(call), _id(call), wanted.name, wanted.description)
    return single(call, "security_group", _view(changed))


def delete_group(call: Call) -> Answer:
    """DELETE /network/v2.0/security-groups/{group}."""
    call.operations.groups.delete(expecting(call), _id(call))
    return Answer(204)


def _id(call: Call) -> GroupId:
    return GroupId(call.params["group"])


# ------------------------------------------------------------------------------------------------------------------ rules


def list_rules(call: Call) -> Answer:
    """GET /network/v2.0/security-group-rules."""
    groups = call.operations.groups.listing(call.caller, every_project=True)
    return collection(
        call, "security_group_rules", [_rule_view(rule, group.project) for group in groups for rule in group.rules]
    )


def show_rule(call: Call) -> Answer:
    """GET /network/v2.0/security-group-rules/{rule}."""
    rule = call.operations.groups.rule(call.caller, RuleId(call.params["rule"]))
    group = call.operations.groups.get(call.caller, rule.group)
    return single(call, "security_group_rule", _rule_view(rule, group.project))


def create_rule(call: Call) -> Answer:
    """POST /network/v2.0/security-group-rules."""
    wanted = call.read(CreateRule).security_group_rule
    check_owner(call, wanted.tenant_id, wanted.project_id)
    call.words["said"] = _said(wanted)
    remote = wanted.remote_group_id
    if remote is not None:
        # By id alone: the operation would take a name too.
        remote = call.operations.groups.get(call.caller, GroupId(remote)).id
    new = NewRule(
        direction=Direction(wanted.direction),
        family=_FAMILIES[wanted.ethertype],
        protocol=wanted.protocol,
        first=wanted.port_range_min,
        last=wanted.port_range_max,
        prefix=_prefix(wanted.remote_ip_prefix),
        remote=remote,
    )
    group = GroupId(wanted.security_group_id)
    made = call.operations.groups.add_rule(call.caller, group, new, call.idempotency_key)
    owner = call.operations.groups.get(call.caller, made.group).project
    return single(call, "security_group_rule", _rule_view(made, owner), 201)


def delete_rule(call: Call) -> Answer:
    """DELETE /network/v2.0/security-group-rules/{rule}."""
    call.operations.groups.delete_rule(expecting(call), RuleId(call.params["rule"]))
    return Answer(204)


def _prefix(text: str | None) -> str | None:
    """Return a prefix without the bits beyond it, and an address as the prefix that holds nothing else: both are usual here."""
    if not text:
        return None
    try:
        return str(ip_interface(text).network)
    except ValueError:
        # The operation says what is wrong.
        return text


def _said(wanted: WantedRule) -> str:
    """Return how Neutron begins to say what is wrong with a rule's numbers, which clients look for."""
    first, last = wanted.port_range_min, wanted.port_range_max
    name = (wanted.protocol or "").strip().lower()
    number = PROTOCOLS.get(name, int(name) if name.isascii() and name.isdecimal() and len(name) <= 3 else None)
    if number in ICMP.values():
        if first is None and last is not None:
            return f"ICMP code (port-range-max) {last} is provided but ICMP type (port-range-min) is missing. "
        wrong = next((each for each in (first, last) if each is not None and each not in _BYTE), None)
        return f"Invalid value for ICMP code/type: {wrong}. "
    wrong = next((each for each in (first, last) if each is not None and each not in _PORTS), None)
    if number in PORTED and wrong is not None:
        return f"Invalid value for port {wrong}. "
    if first is not None and last is not None and first > last:
        return "For TCP/UDP protocols, port_range_min must be <= port_range_max. "
    return ""


# ------------------------------------------------------------------------------------------------------------------ views


def _view(group: SecurityGroup) -> View:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project,
        "project_id": group.project,
        "security_group_rules": [_rule_view(rule, group.project) for rule in group.rules],
        **tagged(group.marks),
    }


def _protocol_name(protocol: int | None) -> str | None:
    # Of this one's names Neutron answers another than we do, and who declares rules compares what it sent with what it gets.
    return "ipv6-icmp" if protocol == ICMP[6] else protocol_name(protocol)


def _rule_view(rule: GroupRule, project: str) -> View:
    return {
        "id": rule.id,
        "security_group_id": rule.group,
        "direction": rule.direction.value,
        "ethertype": _ETHERTYPES[rule.family],
        "protocol": _protocol_name(rule.protocol),
        "port_range_min": rule.first,
        "port_range_max": rule.last,
        "remote_ip_prefix": str(rule.prefix) if rule.prefix is not None else None,
        "remote_group_id": rule.remote,
        "tenant_id": project,
        "project_id": project,
        **marked(rule.marks),
    }
