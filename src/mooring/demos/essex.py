"""A client as somebody wrote it in 2012 from nova's documents: the standard library's HTTP, Keystone v2.0, and XML to the compute API."""

import json
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring

COMPUTE = "{http://docs.openstack.org/compute/api/v1.1}"
"""The namespace of nova's documents, as ElementTree writes it before a tag."""
_TIMEOUT = 60.0


class Fault(Exception):
    """What the server refused: the element's name, its code and its message."""


def element(tag: str, text: str | None = None, **children: str) -> Element:
    """Return an element with a text, or with elements in it that have one."""
    made = Element(tag)
    made.text = text
    for name, inner in children.items():
        SubElement(made, name).text = inner
    return made


class XmlClient:
    """One project's compute API, by the path of one version: `v2`, or `v1.1` for the draft of floating IPs."""

    def __init__(self, environment: Mapping[str, str], version: str = "v2") -> None:
        """Log in as an openrc's variables say."""
        auth = urlsplit(environment["OS_AUTH_URL"])
        self._address = auth.netloc
        base = auth.path.rstrip("/").removesuffix("/v3")
        who = {"username": environment["OS_USERNAME"], "password": environment["OS_PASSWORD"]}
        wanted = {"auth": {"tenantName": environment["OS_PROJECT_NAME"], "passwordCredentials": who}}
        said = json.loads(
            self._send("POST", f"{base}/v2.0/tokens", json.dumps(wanted).encode(), {"Content-Type": "application/json"})
        )["access"]
        # Endpoints are in the catalogue; which version of it is spoken was said by the path.
        services: dict[str, str] = {
            service["type"]: service["endpoints"][0]["publicURL"] for service in said["serviceCatalog"]
        }
        compute = urlsplit(services["compute"])
        self._base = f"{compute.path.rpartition('/')[0]}/{version}/{said['token']['tenant']['id']}"
        self._headers = {"X-Auth-Token": said["token"]["id"], "Accept": "application/xml"}

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        with closing(HTTPConnection(self._address, timeout=_TIMEOUT)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        if response.status >= 400:
            if "xml" not in response.headers.get("Content-Type", ""):
                raise Fault(response.reason, response.status, content.decode())
            root = fromstring(content)
            raise Fault(root.tag.removeprefix(COMPUTE), int(root.attrib["code"]), root.findtext(f"{COMPUTE}message"))
        return content

    def text(self, method: str, path: str, document: Element | None = None) -> str:
        """Send a request, with a document or none, and return the answer as it is.

        Raises:
            Fault: the server refused.
        """
        headers, body = dict(self._headers), None
        if document is not None:
            headers["Content-Type"] = "application/xml"
            body = tostring(document, encoding="UTF-8", xml_declaration=True)
        return self._send(method, self._base + path, body, headers).decode()

    def read(self, path: str) -> Element:
        """Return the document at a path."""
        root: Element = fromstring(self.text("GET", path))
        return root

    def make(self, path: str, document: Element) -> Element:
        """Send a document to be made, and return what was."""
        root: Element = fromstring(self.text("POST", path, document))
        return root
