"""The compute API in XML, against a live server: who gets it, and what is not read."""

import json
from xml.etree.ElementTree import Element

import httpx2
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.openstack.xml.parsing import MAX_DEPTH, MAX_ELEMENTS
from tests.dialects.openstack.conftest import Client
from tests.dialects.openstack.test_fuzz import fuzzing

XML = "application/xml"
VENDOR = "application/vnd.openstack.compute+xml"
FAULTS = "{http://docs.openstack.org/compute/api/v1.1}"


def _sent(alice: Client, body: bytes, path: str = "/os-floating-ips", media_type: str = XML) -> httpx2.Response:
    return alice("POST", path, content=body, headers={"Content-Type": media_type})


def _fault(response: httpx2.Response) -> tuple[str, str]:
    """Return the name and the message of a fault, which must be one in all its parts."""
    root: Element = fromstring(response.content)
    assert root.attrib["code"] == str(response.status_code)
    assert root.tag.startswith(FAULTS)
    return root.tag.removeprefix(FAULTS), root.findtext(f"{FAULTS}message") or ""


# ------------------------------------------------------------------------------------------------------------ who gets it


WISHES: tuple[tuple[str, dict[str, str], str], ...] = (
    ("/servers", {}, "application/json"),
    ("/servers", {"Accept": "*/*"}, "application/json"),
    ("/servers", {"Accept": XML}, XML),
    ("/servers", {"Accept": VENDOR.upper()}, VENDOR),
    ("/servers", {"Accept": "application/vnd.openstack.compute+json"}, "application/json"),
    ("/servers", {"Accept": f"{XML};q=0.5, application/json"}, "application/json"),
    ("/servers", {"Accept": f"application/json;q=0.5, {XML}"}, XML),
    ("/servers", {"Accept": f"{XML};q=0"}, "application/json"),
    ("/servers", {"Accept": f"{XML};q=nonsense, text/html"}, "application/json"),
    ("/servers", {"Accept": "text/html"}, "application/json"),
    ("/servers", {"Accept": f"{XML}, application/json"}, XML),
    ("/servers.json", {"Accept": XML}, "application/json"),
    ("/servers.xml", {"Accept": "application/json"}, XML),
    ("/servers.xml?fresh=1300000000", {}, XML),
    ("/servers", {"Content-Type": XML}, XML),
    ("/servers", {"Content-Type": VENDOR, "Accept": "*/*"}, VENDOR),
    ("/servers", {"Content-Type": XML, "Accept": "application/json"}, "application/json"),
    ("/nowhere.xml", {}, XML),
    ("/servers/x", {"Accept": XML}, XML),
)


def test_who_gets_xml(alice: Client) -> None:
    for path, headers, expected in WISHES:
        response = alice("GET", path, headers={"Accept": "", **headers})
        assert response.headers["content-type"] == expected, (path, headers)
        if expected == "application/json":
            json.loads(response.content)
        else:
            fromstring(response.content)


def test_only_compute_speaks_it(alice: Client, http: httpx2.Client) -> None:
    for path in ("/identity/v3", "/image/v2/images"):
        assert alice("GET", path, headers={"Accept": XML}).headers["content-type"] == "application/json"
        assert alice("GET", path + ".xml").status_code == 404
    response = http.post("/identity/v3/auth/tokens", content=b"<auth/>", headers={"Content-Type": XML})
    assert response.status_code == 415


def test_faults_before_there_is_a_call(http: httpx2.Client, alice: Client) -> None:
    accept = {"Accept": XML}
    assert _fault(http.get("/compute/v2.1/servers", headers=accept))[0] == "unauthorized"
    assert _fault(http.get("/compute/v3", headers=accept))[0] == "itemNotFound"
    assert _fault(alice("GET", "/servers?name=" + "x" * 9_000, headers=accept))[0] == "computeFault"
    assert _fault(alice("GET", "/servers", headers={**accept, "X-OpenStack-Nova-API-Version": "3"}))[0] == "badRequest"
    assert _fault(_sent(alice, b" " * 65_537))[0] == "overLimit"


@pytest.mark.parametrize("version", ["v1.1", "v2"])
def test_old_paths(alice: Client, version: str) -> None:
    assert alice("GET", f"/compute/{version}/servers").json() == {"servers": []}
    assert alice("GET", f"/compute/{version}/nonsense/servers").status_code == 400
    assert alice("GET", f"/compute/{version}").status_code == 404


# ------------------------------------------------------------------------------------------------------- what is not read

LAUGHS = b"<!DOCTYPE pool [<!ENTITY a0 'ha'>%s]><pool>&a9;</pool>" % b"".join(
    b"<!ENTITY a%d '%s'>" % (number, b"&a%d;" % (number - 1) * 10) for number in range(1, 10)
)
HOSTILE = {
    "billion laughs": LAUGHS,
    "quadratic": b"<!DOCTYPE pool [<!ENTITY a '%s'>]><pool>%s</pool>" % (b"x" * 20_000, b"&a;" * 10_000),
    "one small entity": b"<!DOCTYPE pool [<!ENTITY a 'public'>]><pool>&a;</pool>",
    "external entity": b"<!DOCTYPE pool [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><pool>&a;</pool>",
    "parameter entity": b"<!DOCTYPE pool [<!ENTITY % a SYSTEM 'http://192.0.2.1/x.dtd'>%a;]><pool>public</pool>",
    "document type elsewhere": b"<!DOCTYPE pool SYSTEM 'http://192.0.2.1/x.dtd'><pool>public</pool>",
    "empty document type": b"<!DOCTYPE pool><pool>public</pool>",
    "document type in another encoding": "<!DOCTYPE pool><pool>public</pool>".encode("utf-16"),
    "unknown entity": b"<pool>&public;</pool>",
    "deep": b"<pool>" * (MAX_DEPTH + 1) + b"</pool>" * (MAX_DEPTH + 1),
    "as deep as a body can be": b"<a>" * 21_000,
    "many elements": b"<pool>" + b"<a/>" * MAX_ELEMENTS + b"</pool>",
    "many attributes": b"<pool %s/>" % b" ".join(b"a%d=''" % number for number in range(6_000)),
    "an attribute twice": b"<pool a='1' a='2'/>",
    "an attribute twice, by two prefixes": b"<p xmlns:a='u' xmlns:b='u' a:c='1' b:c='2'/>",
    "an attribute twice, in two namespaces": b"<p xmlns:a='u' xmlns:b='v' a:c='1' b:c='2'/>",
    "a key as attribute and as element": b"<security_group name='a'><name>b</name></security_group>",
    "an element twice": b"<security_group><name>a</name><name>b</name></security_group>",
    "unknown prefix": b"<a:pool>public</a:pool>",
    "text beside elements": b"<pool>public<name/></pool>",
    "not closed": b"<pool>public",
    "closed by another": b"<pool>public</poll>",
    "two documents": b"<pool>public</pool><pool>public</pool>",
    "text after": b"<pool>public</pool>public",
    "no document": b"   ",
    "only a comment": b"<!-- public -->",
    "JSON": b'{"pool": "public"}',
    "form": b"pool=public",
    "UTF-16": "<?xml version='1.0' encoding='UTF-16'?><pool>public</pool>".encode("utf-16"),
    "UTF-16 by name alone": b"<?xml version='1.0' encoding='UTF-16'?><pool>public</pool>",
    "UTF-7": b"<?xml version='1.0' encoding='UTF-7'?>+ADw-pool+AD4-public+ADw-/pool+AD4-",
    "Latin-1": "<?xml version='1.0' encoding='ISO-8859-1'?><pool>pübliç</pool>".encode("latin-1"),
    "Latin-1 by name alone": b"<?xml version='1.0' encoding='ISO-8859-1'?><pool>public</pool>",
    "no encoding at all": b"<?xml version='1.0' encoding='nonsense'?><pool>public</pool>",
    "not UTF-8": b"<pool>\xff\xfe\xfd</pool>",
    "U+0000": b"<pool>a\0b</pool>",
    "U+0000 by number": b"<pool>a&#0;b</pool>",
    "control character": b"<pool>a\x01b</pool>",
    "control character by number": b"<pool>a&#1;b</pool>",
    "half a surrogate pair": b"<pool>&#xd800;</pool>",
    "unknown element": b"<colour>red</colour>",
    "unknown attribute": b"<pool colour='red'/>",
    "an element for a text": b"<pool><name>public</name></pool>",
    "included": b"<pool xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='/etc/passwd' parse='text'/></pool>",
    "too long for a name": b"<pool>" + b"x" * 300 + b"</pool>",
}


@pytest.mark.parametrize("path", ["/os-floating-ips", "/servers", "/servers/x/action", "/os-security-groups"])
def test_hostile_documents(alice: Client, path: str) -> None:
    for what, body in HOSTILE.items():
        response = _sent(alice, body, path)
        assert response.status_code == 400, what
        kind, message = _fault(response)
        assert kind == "badRequest", what
        assert message, what
        assert "root:" not in message, what
    assert alice("GET", "/os-floating-ips").json() == {"floating_ips": []}


READ = (
    b"<pool>public</pool>",
    b"\xef\xbb\xbf<pool>public</pool>",
    b'<?xml version="1.0"?><pool>public</pool>',
    b"<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n\n<pool>\n  public\t</pool>\n",
    b"<!-- a pool --><?pool is public?><pool><![CDATA[public]]></pool>",
    b"<pool xmlns='http://docs.openstack.org/compute/api/v1.1'>public</pool>",
    b"<x:pool xmlns:x='urn:anything'>&#112;ublic</x:pool>",
    b"<pool/>",
    b"<pool></pool>",
    b"",
)


@pytest.mark.parametrize("media_type", [XML, VENDOR, "Application/XML; charset=utf-8"])
def test_documents_that_are_read(alice: Client, media_type: str) -> None:
    for body in READ:
        response = _sent(alice, body, media_type=media_type)
        assert response.status_code == 200, body
        made = fromstring(response.content).attrib
        assert made["pool"] == "public"
        assert alice("DELETE", f"/os-floating-ips/{made['id']}").status_code == 202


# Pieces that a document is made of, and some that it isn't.
_pieces = st.sampled_from(
    [
        *(
            "<server>",
            "</server>",
            "<networks>",
            "</networks>",
            "<network",
            ">",
            "/>",
            "<security_groups>",
            "</security_groups>",
        ),
        *(' name="a"', " imageRef='b'", " xmlns='u'", " xmlns:OS-DCF='u'", " OS-DCF:diskConfig='AUTO'", "<metadata>"),
        *(
            "<meta key='a'>",
            "</meta>",
            "</metadata>",
            "<addFloatingIp",
            "&amp;",
            "&#0;",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
        ),
        *("<!DOCTYPE a>", "<?xml version='1.0'?>", "\0", "\ufffe", "x"),
    ]
)


@fuzzing
@given(
    body=st.lists(_pieces, max_size=15).map("".join) | st.text(max_size=50),
    path=st.sampled_from(["/servers", "/servers/x/action"]),
)
def test_any_pieces(alice: Client, body: str, path: str) -> None:
    response = _sent(alice, body.encode(), path)
    assert 400 <= response.status_code < 500
    _fault(response)
