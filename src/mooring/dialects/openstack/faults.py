"""How faults are told in OpenStack's words: one table from the faults of operations to status codes and messages.

The general rows give each fault its code.  The particular ones give the codes and words of nova's v2.1 (releases 12 to 19) on its own
routes; `{...}` are the fault's own `reason` and `name`, and the words of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.dialects.faults import line_for, retry_after, sentence
from mooring.dialects.http import Refused
from mooring.model.faults import (
    Changed,
    Conflict,
    Exhausted,
    Fault,
    Forbidden,
    InUse,
    Invalid,
    NotAssociated,
    NotFound,
    NotReady,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from mooring.operations import AUTOMATIC


class Form(StrEnum):
    """Whose way of telling faults a part of the API follows."""

    NOVA = "nova"
    KEYSTONE = "keystone"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: which fault, on which route and of which noun or field (None is any), is told how."""

    fault: type[Fault]
    status: int
    message: str = "{reason}"
    route: str | None = None
    noun: str | None = None
    field: str | None = None


_NOT_ASSOCIATED = "Unable to associate floating IP {address} with instance {server}. Error: {reason}"
_CAME_WITH_SERVER = "Cannot disassociate auto assigned floating IP. {reason}"

# The first row that fits is used.
TABLE: tuple[Row, ...] = (
    Row(NotFound, 404, "Floating IP not found for ID {name}.", route="floating-ip"),
    Row(Forbidden, 403, _CAME_WITH_SERVER, route="floating-ip", field=AUTOMATIC),
    Row(Forbidden, 403, _CAME_WITH_SERVER, route="server-action", field=AUTOMATIC),
    Row(NotFound, 404, "Floating IP not found for ID {name}.", route="floating-ip-associate", noun="Floating IP"),
    Row(Conflict, 400, "Unable to associate floating IP. Error: {reason}", route="floating-ip-associate"),
    Row(NotFound, 404, "Floating IP not found for host {host}.", route="bulk-host"),
    Row(NotFound, 404, "Floating IP pool not found.", route="bulk-create", noun="Pool"),
    Row(NotFound, 400, "marker {name} could not be found.", route="bulk"),
    Row(NotFound, 404, "Fixed IP not found for address {fixed}.", route="fixed-ip"),
    Row(NotFound, 404, "Floating IP pool not found.", route="floating-ip-allocate", noun="Pool"),
    Row(Exhausted, 404, "No more floating IPs available{in_pool}.", route="floating-ip-allocate"),
    Row(QuotaExceeded, 403, "IP allocation over quota{in_pool}. {reason}", route="floating-ip-allocate"),
    Row(NotFound, 404, "floating IP not found: the project has no {name}.", route="server-action", noun="Floating IP"),
    Row(NotFound, 400, "Instance {server} doesn't have fixed IP '{address}'.", route="server-action", noun="Fixed IP"),
    Row(Exhausted, 400, "No fixed IP addresses available for network: {network}", route="server-action"),
    Row(
        Invalid,
        400,
        "Specified fixed address not assigned to instance. {reason}",
        route="server-action",
        field="fixed_address",
    ),
    Row(NotReady, 400, "No fixed IPs associated to instance. {reason}", route="server-action", field="fixed_ips"),
    Row(NotReady, 400, "Instance network is not ready yet. {reason}", route="server-action"),
    Row(Conflict, 400, _NOT_ASSOCIATED, route="server-action", field="address"),
    Row(Conflict, 400, _NOT_ASSOCIATED, route="server-action", field="router"),
    Row(Conflict, 400, _NOT_ASSOCIATED, route="server-action", field="pool"),
    Row(
        NotFound,
        404,
        "Instance {server} does not have a port with id {name}.",
        route="server-interface-detach",
        noun="NIC",
    ),
    Row(NotFound, 404, "Port {name} could not be found.", route="server-interface-attach", noun="NIC"),
    Row(Exhausted, 400, route="server-interface-attach"),
    Row(Conflict, 400, route="server-action", field="security_group"),
    Row(NotFound, 404, "DNS entries not found.", route="dns-entry", noun="DNS entry"),
    Row(NotFound, 400, "project: {reason}", route="dns-domain-save", noun="Project"),
    Row(NotFound, 400, "networks: {reason}", route="server-create", noun="Network"),
    Row(NotFound, 400, "Port {name} could not be found.", route="server-create", noun="NIC"),
    Row(NotFound, 400, "security_groups: {reason}", route="server-create", noun="Security group"),
    Row(Exhausted, 400, route="server-create"),
    Row(Conflict, 400, route="server-create", field="fixed_ip"),
    Row(Conflict, 400, route="security-group-create", field="name"),
    Row(Conflict, 400, route="security-group-update", field="name"),
    Row(
        Conflict, 400, "Unable to update system group 'default'. {reason}", route="security-group-update", field="group"
    ),
    Row(
        Conflict, 400, "Unable to delete system group 'default'. {reason}", route="security-group-delete", field="group"
    ),
    Row(InUse, 400, "Security group is still in use. {reason}", route="security-group-delete"),
    Row(QuotaExceeded, 403, "Quota exceeded, too many security groups. {reason}", route="security-group-create"),
    Row(
        QuotaExceeded,
        403,
        "Quota exceeded, too many security group rules. {reason}",
        route="security-group-rule-create",
    ),
    Row(Conflict, 400, route="security-group-rule-create", field="rule"),
    Row(Invalid, 400, "Invalid IP protocol {protocol}. {reason}", route="security-group-rule-create", field="protocol"),
    Row(Invalid, 400, "Invalid port range {ports}. {reason}", route="security-group-rule-create", field="ports"),
    Row(Invalid, 400, "Invalid port range {ports}. {reason}", route="security-group-rule-create", field="icmp"),
    Row(
        Invalid,
        400,
        "Bad prefix for network in cidr {cidr}. {reason}",
        route="security-group-rule-create",
        field="remote_prefix",
    ),
    Row(Unauthenticated, 401),
    Row(TooManyAttempts, 429),
    Row(Forbidden, 403),
    Row(NotFound, 404),
    Row(Invalid, 400),
    Row(Changed, 409),
    Row(InUse, 409),
    Row(Conflict, 409),
    Row(NotAssociated, 409),
    Row(NotReady, 409),
    Row(QuotaExceeded, 403),
    Row(Exhausted, 409),
    Row(Unavailable, 503),
)

# Nova's names of faults; what has none is a computeFault.
NAMES: Mapping[int, str] = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}

# Keystone tells faults by the standard's own words.
TITLES: Mapping[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def refusal(fault: Fault, route: str, words: Mapping[str, str]) -> Refused:
    """Turn a fault into what the client is told."""
    row = line_for(TABLE, fault, route)
    return Refused(row.status, sentence(row.message, fault, {"in_pool": "", **words}), retry_after(fault))


def body_of(form: Form, refused: Refused) -> dict[str, object]:
    """Return the body in which a refusal is told."""
    if form is Form.KEYSTONE:
        title = TITLES.get(refused.status, "Error")
        return {"error": {"code": refused.status, "message": refused.reason, "title": title}}
    told: dict[str, object] = {"code": refused.status, "message": refused.reason}
    if "Retry-After" in refused.headers:
        told["retryAfter"] = refused.headers["Retry-After"]
    return {NAMES.get(refused.status, "computeFault"): told}
