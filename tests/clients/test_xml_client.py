"""A client that speaks XML, of the years when nova did: the standard library's HTTP and ElementTree, and nova's documents in hand."""

from xml.etree.ElementTree import Element, SubElement

import pytest

from mooring.demos.essex import COMPUTE, Fault, XmlClient
from tests.cloud import FLAVORS, IMAGES, PASSWORDS, Cloud

ATOM = "{http://www.w3.org/2005/Atom}"
KIND = "{http://docs.openstack.org/compute/ext/extended_ips/api/v1.1}type"


def _element(tag: str, text: str | None = None, **attributes: str) -> Element:
    made = Element(tag, attributes)
    made.text = text
    return made


def _boot(client: XmlClient, name: str) -> str:
    wanted = _element("server", name=name, imageRef=IMAGES[0].id, flavorRef=FLAVORS[0].id)
    SubElement(SubElement(wanted, "security_groups"), "security_group", name="default")
    made = client.make("/servers", wanted)
    assert made.find(f"{ATOM}link[@rel='self']") is not None
    return made.attrib["id"]


def _addresses(client: XmlClient, server: str, kind: str) -> list[str]:
    found = client.read(f"/servers/{server}").iterfind(f"{COMPUTE}addresses/{COMPUTE}network/{COMPUTE}ip")
    return [address.attrib["addr"] for address in found if address.attrib[KIND] == kind]


def _client(url: str, version: str = "v2") -> XmlClient:
    who = {"OS_USERNAME": "alice", "OS_PASSWORD": PASSWORDS["alice"], "OS_PROJECT_NAME": "boats"}
    return XmlClient({"OS_AUTH_URL": f"{url}/identity/v3", **who}, version)


@pytest.fixture
def nova(url: str) -> XmlClient:
    return _client(url)


def test_floating_ip(nova: XmlClient, cloud: Cloud) -> None:
    first, second = _boot(nova, "first"), _boot(nova, "second")
    assert nova.read(f"/servers/{first}").attrib["status"] == "ACTIVE"
    assert [pool.attrib["name"] for pool in nova.read("/os-floating-ip-pools")] == ["public"]

    made = nova.make("/os-floating-ips", _element("pool", "public")).attrib
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", "None", "None")

    # One server by attributes, as clients sent them, the other by elements, as nova's documents have them.
    nova.text("POST", f"/servers/{first}/action", _element("addFloatingIp", address=made["ip"]))
    assert _addresses(nova, first, "floating") == [made["ip"]]
    action = Element("addFloatingIp")
    SubElement(action, "address").text = made["ip"]
    SubElement(action, "fixed_address").text = "10.0.0.3"
    nova.text("POST", f"/servers/{second}/action", action)
    assert _addresses(nova, first, "floating") == []
    assert _addresses(nova, second, "floating") == [made["ip"]]
    assert [str(address) for address in cloud.host.public_addresses()] == [made["ip"]]

    nova.text("POST", f"/servers/{second}/action", _element("removeFloatingIp", address=made["ip"]))
    assert cloud.host.public_addresses() == {}
    nova.text("DELETE", f"/os-floating-ips/{made['id']}")
    assert list(nova.read("/os-floating-ips")) == []

    nova.text("DELETE", f"/servers/{first}")
    assert [server.attrib["name"] for server in nova.read("/servers")] == ["second"]


def test_the_draft(url: str, cloud: Cloud) -> None:
    """The first draft of floating IPs, by the path of its year: elements, and a fixed IP instead of a server."""
    draft = _client(url, "v1.1")
    server = _boot(draft, "first")
    draft.text("POST", "/os-floating-ips")
    (made,) = draft.read("/os-floating-ips")
    assert [(each.tag, each.text) for each in made][2:] == [("fixed_ip", "null"), ("instance_id", "null")]
    address = f"/os-floating-ips/{made.findtext('id')}"

    wanted = Element("associate_address")
    SubElement(wanted, "fixed_ip").text = "10.0.0.2"
    draft.text("POST", f"{address}/addFloatingIp", wanted)
    assert [str(each) for each in cloud.host.public_addresses()] == [made.findtext("ip")]
    details = draft.read(address)
    assert {each.tag: each.text for each in details} == {
        "id": made.findtext("id"),
        "ip": made.findtext("ip"),
        "fixed_ip": "10.0.0.2",
        "instance_id": server,
    }
    draft.text("POST", f"{address}/removeFloatingIp")
    assert cloud.host.public_addresses() == {}


def test_security_groups(nova: XmlClient) -> None:
    server = _boot(nova, "first")
    wanted = _element("security_group", name="web")
    SubElement(wanted, "description").text = "Open to the world"
    group = nova.make("/os-security-groups", wanted).attrib["id"]
    rule = Element("security_group_rule")
    for key, value in {"parent_group_id": group, "ip_protocol": "tcp", "from_port": "80", "to_port": "80"}.items():
        SubElement(rule, key).text = value
    nova.make("/os-security-group-rules", rule)
    action = Element("addSecurityGroup")
    SubElement(action, "name").text = "web"
    nova.text("POST", f"/servers/{server}/action", action)
    assert [each.attrib["name"] for each in nova.read(f"/servers/{server}/os-security-groups")] == ["default", "web"]
    (shown,) = nova.read(f"/os-security-groups/{group}").iterfind(f"{COMPUTE}rules/{COMPUTE}rule")
    assert shown.findtext(f"{COMPUTE}ip_range/{COMPUTE}cidr") == "0.0.0.0/0"


def test_refusals(nova: XmlClient) -> None:
    server = _boot(nova, "first")
    for document, code, kind, message in (
        (_element("addFloatingIp", address="0.0.0.0"), 404, "itemNotFound", "floating IP not found"),  # noqa: S104
        (_element("addFloatingIp", address="nonsense"), 400, "badRequest", "is not an IP address"),
        (_element("addFloatingIp"), 400, "badRequest", "must be an object"),
        (_element("launchRocket"), 400, "badRequest", "There is no such action: 'launchRocket'"),
    ):
        with pytest.raises(Fault) as refused:
            nova.text("POST", f"/servers/{server}/action", document)
        told, status, text = refused.value.args
        assert (told, status) == (kind, code)
        assert message in text
    with pytest.raises(Fault, match="Floating IP pool not found"):
        nova.text("POST", "/os-floating-ips", _element("pool", "nowhere"))
    with pytest.raises(Fault, match="itemNotFound"):
        nova.text("GET", "/servers/made-up")
