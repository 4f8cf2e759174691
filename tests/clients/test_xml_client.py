"""A client that speaks XML, of the years when nova did: the standard library's HTTP and ElementTree, and nova's documents in hand."""

import json
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlparse
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from defusedxml.ElementTree import fromstring

from tests.cloud import FLAVORS, IMAGES, PASSWORDS, Cloud

COMPUTE = "{http://docs.openstack.org/compute/api/v1.1}"
ATOM = "{http://www.w3.org/2005/Atom}"
KIND = "{http://docs.openstack.org/compute/ext/extended_ips/api/v1.1}type"


class Fault(Exception):
    """What the server refused: the element's name, its code and its message."""


class XmlClient:
    """One project's compute API, by one version's path."""

    def __init__(self, url: str, user: str, project: str, version: str = "v2") -> None:
        self._address = urlparse(url).netloc
        token, project_id = self._log_in(user, project)
        self._base = f"/compute/{version}/{project_id}"
        self._headers = {"X-Auth-Token": token, "Accept": "application/xml"}

    def _log_in(self, user: str, project: str) -> tuple[str, str]:
        domain = {"id": "default"}
        who = {"name": user, "domain": domain, "password": PASSWORDS[user]}
        identity = {"methods": ["password"], "password": {"user": who}}
        body = {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}}
        with closing(HTTPConnection(self._address, timeout=30)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/identity/v3/auth/tokens", json.dumps(body), headers)
            response = connection.getresponse()
            token = json.loads(response.read())["token"]
            return response.headers["X-Subject-Token"], token["project"]["id"]

    def __call__(self, method: str, path: str, document: Element | None = None) -> Element | None:
        headers: Mapping[str, str] = self._headers
        body = None
        if document is not None:
            headers = {**headers, "Content-Type": "application/xml"}
            body = tostring(document, encoding="UTF-8", xml_declaration=True)
        with closing(HTTPConnection(self._address, timeout=30)) as connection:
            connection.request(method, self._base + path, body, headers)
            response = connection.getresponse()
            content = response.read()
        root = fromstring(content) if content else None
        if response.status >= 400:
            assert root is not None
            raise Fault(root.tag.removeprefix(COMPUTE), int(root.attrib["code"]), root.findtext(f"{COMPUTE}message"))
        return root

    def read(self, path: str) -> Element:
        root = self("GET", path)
        assert root is not None
        return root

    def make(self, path: str, document: Element) -> Element:
        root = self("POST", path, document)
        assert root is not None
        return root


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


@pytest.fixture
def nova(url: str) -> XmlClient:
    return XmlClient(url, "alice", "boats")


def test_floating_ip(nova: XmlClient, cloud: Cloud) -> None:
    first, second = _boot(nova, "first"), _boot(nova, "second")
    assert nova.read(f"/servers/{first}").attrib["status"] == "ACTIVE"
    assert [pool.attrib["name"] for pool in nova.read("/os-floating-ip-pools")] == ["public"]

    made = nova.make("/os-floating-ips", _element("pool", "public")).attrib
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", "None", "None")

    # One server by attributes, as clients sent them, the other by elements, as nova's documents have them.
    nova("POST", f"/servers/{first}/action", _element("addFloatingIp", address=made["ip"]))
    assert _addresses(nova, first, "floating") == [made["ip"]]
    action = Element("addFloatingIp")
    SubElement(action, "address").text = made["ip"]
    SubElement(action, "fixed_address").text = "10.0.0.3"
    nova("POST", f"/servers/{second}/action", action)
    assert _addresses(nova, first, "floating") == []
    assert _addresses(nova, second, "floating") == [made["ip"]]
    assert [str(address) for address in cloud.host.public_addresses()] == [made["ip"]]

    nova("POST", f"/servers/{second}/action", _element("removeFloatingIp", address=made["ip"]))
    assert cloud.host.public_addresses() == {}
    nova("DELETE", f"/os-floating-ips/{made['id']}")
    assert list(nova.read("/os-floating-ips")) == []

    nova("DELETE", f"/servers/{first}")
    assert [server.attrib["name"] for server in nova.read("/servers")] == ["second"]


def test_the_draft(url: str, cloud: Cloud) -> None:
    """The first draft of floating IPs, by the path of its year: elements, and a fixed IP instead of a server."""
    draft = XmlClient(url, "alice", "boats", "v1.1")
    server = _boot(draft, "first")
    draft("POST", "/os-floating-ips")
    (made,) = draft.read("/os-floating-ips")
    assert [(each.tag, each.text) for each in made][2:] == [("fixed_ip", "null"), ("instance_id", "null")]
    address = f"/os-floating-ips/{made.findtext('id')}"

    wanted = Element("associate_address")
    SubElement(wanted, "fixed_ip").text = "10.0.0.2"
    draft("POST", f"{address}/addFloatingIp", wanted)
    assert [str(each) for each in cloud.host.public_addresses()] == [made.findtext("ip")]
    details = draft.read(address)
    assert {each.tag: each.text for each in details} == {
        "id": made.findtext("id"),
        "ip": made.findtext("ip"),
        "fixed_ip": "10.0.0.2",
        "instance_id": server,
    }
    draft("POST", f"{address}/removeFloatingIp")
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
    nova("POST", f"/servers/{server}/action", action)
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
            nova("POST", f"/servers/{server}/action", document)
        told, status, text = refused.value.args
        assert (told, status) == (kind, code)
        assert message in text
    with pytest.raises(Fault, match="Floating IP pool not found"):
        nova("POST", "/os-floating-ips", _element("pool", "nowhere"))
    with pytest.raises(Fault, match="itemNotFound"):
        nova("GET", "/servers/made-up")
