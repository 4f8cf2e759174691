"""Neutron's versions, its list of resources, and the extensions that are served here: no more than what is really there."""

from dataclasses import dataclass

from mooring.dialects.neutron.lists import View, single
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound


@dataclass(frozen=True, slots=True)
class Extension:
    """A part of Neutron that not every installation has."""

    alias: str
    name: str
    description: str
    updated: str


EXTENSIONS = (
    Extension(
        "allowed-address-pairs",
        "Allowed Address Pairs",
        "What ports may use beside their fixed IPs",
        "2013-07-23T10:00:00-07:00",
    ),
    Extension(
        "expose-port-forwarding-in-fip",
        "Port forwardings in floating IPs",
        "Floating IPs show their port forwardings",
        "2019-02-01T00:00:00-00:00",
    ),
    Extension("ext-gw-mode", "Gateway mode", "Routers say that they translate addresses", "2013-03-28T10:00:00-00:00"),
    Extension("external-net", "External networks", "Pools of floating IPs as networks", "2013-01-14T10:00:00-00:00"),
    Extension(
        "floating-ip-port-forwarding",
        "Port forwardings",
        "Ports of floating IPs that lead to ports",
        "2018-10-01T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-description",
        "Descriptions of port forwardings",
        "What a port forwarding is for",
        "2019-11-01T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-detail",
        "Port forwardings in detail",
        "Floating IPs show which port forwardings they have, and to which ports",
        "2020-08-22T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-port-ranges",
        "Ranges of port forwardings",
        "Port forwardings of several ports at once",
        "2020-07-01T10:00:00-00:00",
    ),
    Extension("net-mtu", "Network MTU", "Networks say how large packets may be", "2015-03-25T10:00:00-00:00"),
    Extension("pagination", "Pagination", "Lists in pages", "2016-06-12T00:00:00-00:00"),
    Extension("project-id", "project_id", "Owners are named in project_id too", "2016-09-09T09:09:09-09:09"),
    Extension("quota_details", "Quota details", "What a project has of what it may have", "2017-02-10T10:00:00-00:00"),
    Extension("quotas", "Quotas", "How much a project may have", "2012-07-29T10:00:00-00:00"),
    Extension(
        "revision-if-match",
        "Changes of a revision",
        "Changes and deletions can be bound to a revision by If-Match",
        "2016-12-11T00:00:00-00:00",
    ),
    Extension("router", "Routers", "Routers and floating IPs", "2012-07-20T10:00:00-00:00"),
    Extension("security-group", "Security groups", "What ports may send and receive", "2012-10-05T10:00:00-00:00"),
    Extension("sorting", "Sorting", "Lists in any order", "2016-06-12T00:00:00-00:00"),
    Extension(
        "standard-attr-revisions",
        "Revision numbers",
        "Resources count their changes",
        "2016-04-11T10:00:00-00:00",
    ),
    Extension("standard-attr-tag", "Tags", "Resources can be tagged, and found by that", "2017-01-01T00:00:00-00:00"),
    Extension(
        "standard-attr-timestamp",
        "Times",
        "Resources say when they were made and when they changed",
        "2016-09-12T10:00:00-00:00",
    ),
    Extension("subnet_allocation", "Subnet allocation", "Subnets taken from pools", "2015-03-30T10:00:00-00:00"),
)
_RESOURCES = {
    "extension": "extensions",
    "floatingip": "floatingips",
    "network": "networks",
    "port": "ports",
    "quota": "quotas",
    "router": "routers",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
}


def versions(call: Call) -> Answer:
    """GET /network."""
    links = [{"rel": "self", "href": call.url("network/v2.0/")}]
    return Answer(body={"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


def resources(call: Call) -> Answer:
    """GET /network/v2.0."""
    views = [
        {
            "name": name,
            "collection": plural.replace("-", "_"),
            "links": [{"rel": "self", "href": call.url("network/v2.0", plural)}],
        }
        for name, plural in _RESOURCES.items()
    ]
    return Answer(body={"resources": views})


def list_extensions(_call: Call) -> Answer:
    """GET /network/v2.0/extensions."""
    return Answer(body={"extensions": [_view(extension) for extension in EXTENSIONS]})


def show_extension(call: Call) -> Answer:
    """GET /network/v2.0/extensions/{alias}."""
    for extension in EXTENSIONS:
        if extension.alias == call.params["alias"]:
            return single(call, "extension", _view(extension))
    raise NotFound("Extension", call.params["alias"])


def _view(extension: Extension) -> View:
    return {
        "alias": extension.alias,
        "name": extension.name,
        "description": extension.description,
        "updated": extension.updated,
        "links": [],
    }
