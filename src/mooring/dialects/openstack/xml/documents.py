"""The table: how each view and body of the compute API looks in XML.

A document is found by the key that is around it in JSON, or by the route whose key is data.  What isn't here is written as elements all the
way down, and read as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from mooring.dialects.http import Json
from mooring.dialects.openstack.xml.parsing import parse_xml
from mooring.dialects.openstack.xml.shapes import (
    ANYTHING,
    Beside,
    Inside,
    Items,
    Keyed,
    Kind,
    Leaf,
    Node,
    Shape,
    serialised,
)

COMPUTE = "http://docs.openstack.org/compute/api/v1.1"
COMMON = "http://docs.openstack.org/common/api/v1.0"
_EXTENSIONS = "http://docs.openstack.org/compute/ext"

# Prefixes are also the prefixes of the keys in JSON.
NAMESPACES: Mapping[str, str] = {
    "atom": "http://www.w3.org/2005/Atom",
    "os-availability-zone": f"{_EXTENSIONS}/availabilityzone/api/v1.1",
    "OS-DCF": f"{_EXTENSIONS}/disk_config/api/v1.1",
    "OS-EXT-AZ": f"{_EXTENSIONS}/extended_availability_zone/api/v2",
    "OS-EXT-IMG-SIZE": f"{_EXTENSIONS}/image_size/api/v1.1",
    "OS-EXT-IPS": f"{_EXTENSIONS}/extended_ips/api/v1.1",
    "OS-EXT-IPS-MAC": f"{_EXTENSIONS}/extended_ips_mac/api/v1.1",
    "OS-EXT-STS": f"{_EXTENSIONS}/extended_status/api/v1.1",
    "OS-FLV-DISABLED": f"{_EXTENSIONS}/flavor_disabled/api/v1.1",
    "OS-FLV-EXT-DATA": f"{_EXTENSIONS}/flavor_extra_data/api/v1.1",
    "OS-SCH-HNT": f"{_EXTENSIONS}/scheduler-hints/api/v2",
    "OS-SRV-USG": f"{_EXTENSIONS}/server_usage/api/v1.1",
    "os-extended-volumes": f"{_EXTENSIONS}/extended_volumes/api/v1.1",
    "os-flavor-access": f"{_EXTENSIONS}/flavor_access/api/v2",
}
PREFIXES = {namespace: prefix for prefix, namespace in NAMESPACES.items()}


@dataclass(frozen=True, slots=True)
class Document:
    """The shape of what is under a key in JSON, the root element and the namespace of names without a prefix."""

    shape: Shape
    tag: str | None = None
    namespace: str | None = COMPUTE


TEXT = Leaf()
NULLABLE = Leaf(null="None")
WHOLE = Leaf(Kind.WHOLE)
COUNT = Leaf(Kind.WHOLE, null="None")
REAL = Leaf(Kind.REAL)
TRUTH = Leaf(Kind.TRUTH)


def _texts(*keys: str, leaf: Leaf = TEXT) -> dict[str, Leaf]:
    return dict.fromkeys(keys, leaf)


# ------------------------------------------------------------------------------------------------------- pieces of views

LINKS = Beside("atom:link", Node(_texts("rel", "href")))
_NAMED_LINK = Node(_texts("id"), {"links": LINKS})
_METADATA = Keyed("meta", "key", TEXT)
_ADDRESSES = Items("ip", Node({"version": WHOLE, **_texts("addr", "OS-EXT-IPS:type", "OS-EXT-IPS-MAC:mac_addr")}))

_SERVER = Node(
    {
        **_texts("id", "name", "status", "user_id", "tenant_id", "created", "updated", "hostId", "adminPass"),
        **_texts("accessIPv4", "accessIPv6", "config_drive", "OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone"),
        **_texts("OS-EXT-STS:vm_state"),
        **_texts("key_name", "description", "OS-EXT-STS:task_state", leaf=NULLABLE),
        **_texts("OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", leaf=NULLABLE),
        **_texts("progress", "OS-EXT-STS:power_state", leaf=WHOLE),
        "locked": TRUTH,
    },
    {
        "links": LINKS,
        "image": _NAMED_LINK,
        "flavor": _NAMED_LINK,
        "metadata": _METADATA,
        "addresses": Keyed("network", "id", _ADDRESSES),
        "security_groups": Items("security_group", Node(_texts("name"))),
        "os-extended-volumes:volumes_attached": Beside("os-extended-volumes:volumes_attached", Node(_texts("id"))),
        "fault": Node({"code": WHOLE, "created": TEXT}, {"message": TEXT, "details": TEXT}),
        "tags": Items("tag", TEXT),
    },
    {"user_id": "userId", "tenant_id": "tenantId"},
)
_FLAVOR = Node(
    {
        **_texts("id", "name", "swap"),
        **_texts("vcpus", "ram", "disk", "OS-FLV-EXT-DATA:ephemeral", leaf=WHOLE),
        **_texts("OS-FLV-DISABLED:disabled", "os-flavor-access:is_public", leaf=TRUTH),
        "rxtx_factor": REAL,
    },
    {"links": LINKS},
)
_IMAGE = Node(
    {
        **_texts("id", "name", "status", "created", "updated"),
        **_texts("progress", "minDisk", "minRam", "OS-EXT-IMG-SIZE:size", leaf=WHOLE),
    },
    {"links": LINKS, "metadata": _METADATA},
)
_FLOATING_IP = Node({**_texts("id", "ip", "pool"), **_texts("fixed_ip", "instance_id", leaf=NULLABLE)})
_POOL_ADDRESS = Node(
    children={
        **_texts("address", "pool", "interface"),
        **_texts("project_id", "instance_uuid", "fixed_ip", leaf=NULLABLE),
    }
)
_DOMAIN_ENTRY = Node({**_texts("domain", "scope"), **_texts("project", "availability_zone", leaf=NULLABLE)})
_DNS_ENTRY = Node({**_texts("ip", "domain", "name"), **_texts("id", "type", leaf=NULLABLE)})
_RULE = Node(
    _texts("id", "parent_group_id"),
    {
        "ip_protocol": NULLABLE,
        "from_port": COUNT,
        "to_port": COUNT,
        "group": Node(children=_texts("name", "tenant_id")),
        "ip_range": Node(children=_texts("cidr")),
    },
)
_GROUP = Node(_texts("id", "tenant_id", "name"), {"description": TEXT, "rules": Items("rule", _RULE)})
_NETWORK = Node(
    children={
        **_texts("id", "label", "cidr", "netmask", "gateway", "broadcast"),
        **_texts("dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6", leaf=NULLABLE),
    }
)
_VERSION = Node(
    _texts("id", "status", "version", "min_version", "updated"),
    {"links": LINKS, "media-types": Items("media-type", Node(_texts("base", "type")))},
)
_EXTENSION = Node(_texts("alias", "name", "namespace", "updated"), {"description": TEXT, "links": LINKS})

_ATTACHMENT = Node(
    children={
        **_texts("port_id", "net_id", "mac_addr", "port_state"),
        "fixed_ips": Items("fixed_ip", Node(children=_texts("subnet_id", "ip_address"))),
    }
)
_ZONE = Node(
    {"zoneName": TEXT},
    {"zoneState": Node({"available": TRUTH})},
    {"zoneName": "name"},
    left_out=frozenset({"hosts"}),
)
_SERVICE = Node(
    {
        "id": WHOLE,
        **_texts("binary", "host", "zone", "status", "state"),
        **_texts("updated_at", "disabled_reason", leaf=NULLABLE),
    }
)
_QUOTAS = (
    *("instances", "floating_ips", "security_groups", "security_group_rules", "cores", "ram", "fixed_ips", "key_pairs"),
    *("metadata_items", "injected_files", "injected_file_content_bytes", "injected_file_path_bytes"),
    *("server_groups", "server_group_members"),
)
_FAULT = Node(_texts("code", "retryAfter"), {"message": TEXT})

# The views of the draft, which nova's first version answered with by mistake: elements, and "null" for null.
_DRAFTED = Node(
    children={**_texts("id", "ip"), **_texts("fixed_ip", "instance_id", leaf=Leaf(null="null"))},
    left_out=frozenset({"pool"}),
)

# ----------------------------------------------------------------------------------------------------------------- views

VIEWS: Mapping[str, Document] = {
    "versions": Document(Items("version", _VERSION), namespace=COMMON),
    "version": Document(_VERSION, namespace=COMMON),
    "extensions": Document(Items("extension", _EXTENSION), namespace=COMMON),
    "extension": Document(_EXTENSION, namespace=COMMON),
    "servers": Document(Items("server", _SERVER)),
    "server": Document(_SERVER),
    "addresses": Document(Keyed("network", "id", _ADDRESSES)),
    "flavors": Document(Items("flavor", _FLAVOR)),
    "flavor": Document(_FLAVOR),
    "extra_specs": Document(Node(), namespace=None),
    "images": Document(Items("image", _IMAGE)),
    "image": Document(_IMAGE),
    "floating_ips": Document(Items("floating_ip", _FLOATING_IP), namespace=None),
    "floating_ip": Document(_FLOATING_IP, namespace=None),
    "floating_ip_pools": Document(Items("floating_ip_pool", Node(_texts("name"))), namespace=None),
    "floating_ip_info": Document(Items("item", _POOL_ADDRESS), namespace=None),
    "floating_ips_bulk_create": Document(Node(children=_texts("ip_range", "pool", "interface")), namespace=None),
    "floating_ips_bulk_delete": Document(TEXT, namespace=None),
    "domain_entries": Document(Items("domain_entry", _DOMAIN_ENTRY), namespace=None),
    "domain_entry": Document(_DOMAIN_ENTRY, namespace=None),
    "dns_entries": Document(Items("dns_entry", _DNS_ENTRY), namespace=None),
    "dns_entry": Document(_DNS_ENTRY, namespace=None),
    "security_groups": Document(Items("security_group", _GROUP)),
    "security_group": Document(_GROUP),
    "security_group_rule": Document(_RULE),
    "networks": Document(Items("network", _NETWORK), namespace=None),
    "network": Document(_NETWORK, namespace=None),
    "virtual_interfaces": Document(Items("virtual_interface", Node(_texts("id", "mac_address", "net_id")))),
    "interfaceAttachments": Document(Items("interfaceAttachment", _ATTACHMENT), namespace=None),
    "interfaceAttachment": Document(_ATTACHMENT, namespace=None),
    "fixed_ip": Document(
        Node(children={**_texts("address", "cidr"), **_texts("hostname", "host", leaf=NULLABLE), "reserved": TRUTH}),
        namespace=None,
    ),
    "availabilityZoneInfo": Document(Items("availabilityZone", _ZONE), "availabilityZones", namespace=None),
    "services": Document(Items("service", _SERVICE), namespace=None),
    "hosts": Document(Items("host", Node(_texts("host_name", "service", "zone"))), namespace=None),
    "quota_set": Document(Node({"id": TEXT}, _texts(*_QUOTAS, leaf=WHOLE)), namespace=None),
    "limits": Document(
        Node(
            children={"rate": Items("rate", Node()), "absolute": Keyed("limit", "name", Inside("value", WHOLE))},
            names={"rate": "rates"},
        ),
        namespace=COMMON,
    ),
}

DRAFTS: Mapping[str, Document] = {
    "floating_ips": Document(Items("floating_ip", _DRAFTED), namespace=None),
    "floating_ip": Document(_DRAFTED, namespace=None),
}

# Where one key is around views of two kinds, the route says which it is.
ROUTED: Mapping[str, Document] = {
    "quota-details": Document(
        Node({"id": TEXT}, dict.fromkeys(_QUOTAS, Node(_texts("limit", "in_use", "reserved", leaf=WHOLE)))),
        namespace=None,
    )
}

# Where the key is data, the route says what it is, and the key stands in an attribute.
LABELLED: Mapping[str, tuple[str, Document]] = {"server-address": ("id", Document(_ADDRESSES, "network"))}

# ---------------------------------------------------------------------------------------------------------------- bodies

_GIVEN = Leaf(null="")
BODIES: Mapping[str, Shape] = {
    "pool": _GIVEN,
    "ip_range": TEXT,
    "floating_ips_bulk_create": Node(_texts("ip_range", "pool", "interface", leaf=_GIVEN)),
    "server": Node(
        {"min_count": WHOLE, "max_count": WHOLE},
        {
            "metadata": _METADATA,
            "networks": Items("network", Node(_texts("uuid", "fixed_ip", "port", leaf=_GIVEN))),
            "security_groups": Items("security_group", Node(_texts("name"))),
            "block_device_mapping_v2": Items("mapping", Node({"boot_index": WHOLE, "delete_on_termination": TRUTH})),
            "personality": Items("file", Node()),
        },
    ),
    "security_group": Node(_texts("name", "description")),
    "security_group_rule": Node(
        {
            **_texts("ip_protocol", "cidr", "group_id", leaf=_GIVEN),
            **_texts("from_port", "to_port", leaf=Leaf(Kind.WHOLE, "")),
        }
    ),
    "quota_set": Node(_texts("tenant_id"), {**_texts(*_QUOTAS, leaf=WHOLE), "force": TRUTH}),
    "associate_address": Node(_texts("fixed_ip")),
}


def body_of_xml(body: bytes) -> Json:
    """Return a body in XML as what the same body is in JSON.

    Raises:
        Refused: it isn't XML that is read here.
    """
    root = parse_xml(body, PREFIXES)
    return {root.tag: BODIES.get(root.tag, ANYTHING).read(root)}


def document_of(key: str, route: str, *, draft: bool = False) -> Document:
    """Return how the view under a key is written on a route."""
    drafted = DRAFTS.get(key) if draft else None
    return drafted or ROUTED.get(route) or VIEWS.get(key) or Document(ANYTHING, namespace=None)


def view_as_xml(view: object, route: str, *, draft: bool = False) -> bytes:
    """Return the view that a route answers with in XML; `draft` is for who calls by the first version's path."""
    body = cast("Mapping[str, object]", view)
    ((key, inside), *more) = body.items()
    if route in LABELLED:
        attribute, document = LABELLED[route]
        root = document.shape.write(document.tag or key, inside)
        root.attributes[attribute] = TEXT.text_of(key)
    else:
        document = document_of(key, route, draft=draft)
        root = document.shape.write(document.tag or key, inside)
    # Beside a list there may be links to its next part.
    for _, links in more:
        root.children += [LINKS.shape.write(LINKS.item, link) for link in cast("list[object]", links)]
    return serialised(root, NAMESPACES, document.namespace, declaration=True)


def fault_as_xml(fault: Mapping[str, object]) -> bytes:
    """Return the body of a fault in XML."""
    ((name, inside),) = fault.items()
    return serialised(_FAULT.write(name, inside), NAMESPACES, COMPUTE, declaration=False)
