"""How faults are told in Neutron's words: one table from the faults of operations to status codes, types and messages.

The first row that fits is used; `{...}` are the fault's own `reason` and `name`, and the words of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: which fault, on which route and of which noun or field (None is any), is told how."""

    fault: type[Fault]
    status: int
    kind: str
    message: str = "{reason}"
    route: str | None = None
    noun: str | None = None
    field: str | None = None


_PF_CREATE, _PF_UPDATE = "network-port-forwarding-create", "network-port-forwarding-update"

TABLE: tuple[Row, ...] = (
    Row(NotFound, 404, "FloatingIPNotFound", "Floating IP {name} could not be found.", noun="Floating IP"),
    Row(NotFound, 404, "NetworkNotFound", "Network {name} could not be found.", noun="Network"),
    Row(NotFound, 404, "NetworkNotFound", "Network {name} could not be found.", noun="Pool"),
    Row(NotFound, 404, "SubnetNotFound", "Subnet {name} could not be found.", noun="Subnet"),
    Row(NotFound, 404, "PortNotFound", "Port {name} could not be found.", noun="NIC"),
    Row(NotFound, 404, "RouterNotFound", "Router {name} could not be found.", noun="Router"),
    Row(NotFound, 404, "SecurityGroupNotFound", "Security group {name} does not exist.", noun="Security group"),
    Row(
        NotFound,
        404,
        "SecurityGroupRuleNotFound",
        "Security group rule {name} does not exist.",
        noun="Security group rule",
    ),
    Row(NotFound, 404, "ExtensionNotFound", "Extension with alias {name} does not exist.", noun="Extension"),
    Row(
        NotFound,
        404,
        "RouterInterfaceNotFoundForSubnet",
        "The router has no interface on subnet {name}.",
        noun="Router interface",
    ),
    Row(NotFound, 404, "SubnetPoolNotFound", "Subnet pool {name} could not be found.", noun="Subnet pool"),
    Row(NotFound, 404, "TagNotFound", "Tag {name} could not be found.", noun="Tag"),
    Row(NotFound, 404, "HTTPNotFound"),
    Row(Changed, 412, "RevisionNumberConstraintFailed"),
    # Port forwardings
    Row(
        NotFound,
        404,
        "PortForwardingNotFound",
        "Floating IP port forwarding {name} could not be found.",
        noun="Port forwarding",
    ),
    Row(Conflict, 409, "FipInUseByPortForwarding", field="port_forwardings"),
    Row(Conflict, 400, "BadRequest", field="external_port"),
    Row(Conflict, 400, "BadRequest", field="internal_port"),
    Row(Conflict, 409, "PortHasBindingFloatingIP", field="fixed_address"),
    Row(Conflict, 409, "FloatingIPPortAlreadyAssociated", field="floating_ip"),
    Row(Invalid, 400, "InvalidInput", "Invalid input for port_forwarding: {reason}", route=_PF_CREATE),
    Row(Invalid, 400, "InvalidInput", "Invalid input for port_forwarding: {reason}", route=_PF_UPDATE),
    # Networks that projects make
    Row(InUse, 409, "PortInUse", noun="Port"),
    Row(InUse, 409, "NetworkInUse", noun="Network"),
    Row(InUse, 409, "SubnetInUse", noun="Subnet"),
    Row(InUse, 409, "RouterInUse", noun="Router"),
    Row(InUse, 409, "RouterInterfaceInUseByFloatingIP", noun="Router interface"),
    Row(InUse, 409, "RouterExternalGatewayInUseByFloatingIp", noun="Router gateway"),
    Row(InUse, 409, "SubnetPoolInUse", noun="Subnet pool"),
    Row(Exhausted, 409, "SubnetAllocationError", route="network-subnet-create"),
    # Floating IPs
    Row(Conflict, 409, "FloatingIPPortAlreadyAssociated", field="address"),
    Row(Conflict, 409, "IpAddressAlreadyAllocated", field="floating_ip_address"),
    Row(Conflict, 404, "ExternalGatewayForFloatingIPNotFound", field="router"),
    Row(Invalid, 400, "InvalidIpForNetwork", field="floating_ip_address"),
    Row(
        Invalid,
        400,
        "BadRequest",
        "Invalid input for field floatingip.fixed_ip_address: {reason}",
        field="fixed_address",
    ),
    # Ports
    Row(Invalid, 400, "InvalidInput", "Invalid input for allowed_address_pairs: {reason}", field="allowed_addresses"),
    Row(Invalid, 400, "InvalidIpForSubnet", field="fixed_ip"),
    Row(Conflict, 409, "IpAddressAlreadyAllocated", field="fixed_ip"),
    # Security groups
    Row(InUse, 409, "SecurityGroupInUse", "Security group in use: {reason}", route="network-security-group-delete"),
    Row(Conflict, 409, "SecurityGroupCannotRemoveDefault", route="network-security-group-delete", field="group"),
    Row(Conflict, 409, "SecurityGroupCannotUpdateDefault", route="network-security-group-update", field="group"),
    Row(Conflict, 409, "SecurityGroupRuleExists", field="rule"),
    Row(Invalid, 400, "SecurityGroupRuleInvalidProtocol", field="protocol"),
    Row(Invalid, 400, "SecurityGroupInvalidPortRange", "{said}{reason}", field="ports"),
    Row(Invalid, 400, "SecurityGroupInvalidIcmpValue", "{said}{reason}", field="icmp"),
    Row(
        Invalid,
        400,
        "InvalidInput",
        "Invalid input for field security_group_rule.remote_ip_prefix: {reason}",
        field="remote_prefix",
    ),
    Row(Invalid, 400, "SecurityGroupRemoteGroupAndRemoteIpPrefix", field="remote_group"),
    Row(Invalid, 400, "SecurityGroupRuleInvalidEtherType", field="family"),
    # All others
    Row(Unauthenticated, 401, "Unauthorized"),
    Row(Forbidden, 403, "PolicyNotAuthorized"),
    Row(Invalid, 400, "InvalidInput"),
    Row(InUse, 409, "InUse"),
    Row(Conflict, 409, "Conflict"),
    Row(NotAssociated, 409, "Conflict"),
    Row(NotReady, 400, "BadRequest"),
    Row(QuotaExceeded, 409, "OverQuota"),
    Row(Exhausted, 409, "IpAddressGenerationFailure"),
    Row(TooManyAttempts, 429, "HTTPTooManyRequests"),
    Row(Unavailable, 503, "ServiceUnavailable"),
)

# What is wrong before any operation was asked.
TYPES: Mapping[int, str] = {
    400: "HTTPBadRequest",
    401: "Unauthorized",
    403: "PolicyNotAuthorized",
    404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed",
    409: "HTTPConflict",
    412: "HTTPPreconditionFailed",
    413: "HTTPRequestEntityTooLarge",
    414: "HTTPRequestURITooLong",
    415: "HTTPUnsupportedMediaType",
    503: "ServiceUnavailable",
}


class NeutronRefused(Refused):
    """A refusal that has a name of Neutron's."""

    def __init__(self, status: int, kind: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the status code, the name, the sentence and the headers that the answer must have."""
        super().__init__(status, reason, headers)
        self.kind = kind


def refusal(fault: Fault, route: str, words: Mapping[str, str]) -> Refused:
    """Turn a fault into what the client is told."""
    row = line_for(TABLE, fault, route)
    return NeutronRefused(row.status, row.kind, sentence(row.message, fault, {"said": "", **words}), retry_after(fault))


def body_of(refused: Refused) -> dict[str, object]:
    """Return the body in which a refusal is told."""
    kind = refused.kind if isinstance(refused, NeutronRefused) else TYPES.get(refused.status, "HTTPError")
    return {"NeutronError": {"type": kind, "message": refused.reason, "detail": ""}}
