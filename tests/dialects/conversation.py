"""Recorded conversations: text files of HTTP requests and the responses that they must get.

    # What the conversation is about.

    ### allocate an address
    POST /compute/v2.1/os-floating-ips
    X-Auth-Token: {{alice}}

    {"pool": "public"}

    # keep FIP = floating_ip.id
    HTTP/1.1 200 OK
    content-type: application/json

    {"floating_ip": {"id": "{{FIP}}", ...}}

A path into XML is of elements and, last, an attribute: `server.@id`.  `###` starts an exchange, `HTTP/1.1` the response.  `{{NAME}}` in a request stands for a variable; `# keep NAME = path` takes one out of
the response's JSON, and wherever its value comes back it is written as `{{NAME}}`.  What differs in every run is written as `{{any}}`.
Blessing rewrites the responses and nothing else.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

from defusedxml.ElementTree import fromstring
from defusedxml.minidom import parseString

_VARIABLE = re.compile(r"\{\{(\w+)\}\}")
_KEEP = re.compile(r"# keep (\w+) = (\S+)")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
# Headers of the server and not of the dialect, or of every response (a test of its own looks at those).
_LEFT_OUT = frozenset({"date", "server", "content-length", "x-openstack-request-id", "x-compute-request-id"})
_SECRET = "adminPass|audit_ids|hostId|OS-EXT-IPS-MAC:mac_addr"
_ETAG = re.compile(r'^etag: "[0-9a-f]{32}"$', re.MULTILINE)
_ANY = re.compile(rf'("(?:{_SECRET})": |\b(?:{_SECRET})=)(?:"[^"]*"|\[[^\]]*\])')


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[str, str, Mapping[str, str], bytes], Response]


@dataclass
class Exchange:
    """One request, what to keep of the response, and the response as the file has it."""

    title: str
    request: str
    keeps: dict[str, str] = field(default_factory=dict)
    response: str = ""

    def text(self) -> str:
        keeps = "".join(f"# keep {name} = {path}\n" for name, path in self.keeps.items())
        return f"### {self.title}\n{self.request.strip()}\n\n{keeps}{self.response.strip()}\n"


@dataclass
class Conversation:
    """A parsed file."""

    preamble: str
    exchanges: list[Exchange]

    def text(self) -> str:
        return "\n".join([self.preamble.strip() + "\n", *(exchange.text() for exchange in self.exchanges)])


def parse(text: str) -> Conversation:
    """Read a conversation file."""
    preamble, *parts = re.split(r"^### ", text, flags=re.MULTILINE)
    exchanges = []
    for part in parts:
        title, _, rest = part.partition("\n")
        found = re.search(r"^(?:# keep|HTTP/1\.1\b)", rest, flags=re.MULTILINE)
        request, answer = (rest, "") if found is None else (rest[: found.start()], rest[found.start() :])
        keeps = dict(_KEEP.findall(answer))
        exchanges.append(
            Exchange(title.strip(), request, keeps, re.sub(r"^# keep .*\n", "", answer, flags=re.MULTILINE))
        )
    return Conversation(preamble, exchanges)


def play(conversation: Conversation, send: Send, variables: Mapping[str, str]) -> Conversation:
    """Hold a conversation with a server and return what was said."""
    known = dict(variables)
    said = []
    for exchange in conversation.exchanges:
        response = send(*_request(exchange.request, known))
        for name, path in exchange.keeps.items():
            known[name] = _at(response, path)
        said.append(Exchange(exchange.title, exchange.request, exchange.keeps, _written(response, known)))
    return Conversation(conversation.preamble, said)


def _request(text: str, known: Mapping[str, str]) -> tuple[str, str, Mapping[str, str], bytes]:
    def fill(match: re.Match[str]) -> str:
        return known[match[1]]

    head, _, body = _VARIABLE.sub(fill, text.strip()).partition("\n\n")
    first, *lines = head.splitlines()
    method, target = first.split(" ", 1)
    headers = dict(line.split(": ", 1) for line in lines)
    if body:
        headers.setdefault("Content-Type", "application/json")
    return method, target, headers, body.encode()


def _at(response: Response, path: str) -> str:
    if path.startswith("header:"):
        return response.headers[path.removeprefix("header:").lower()]
    if _is_xml(response):
        return _at_xml(response.body, path)
    value = json.loads(response.body)
    for step in path.split("."):
        value = value[int(step) if isinstance(value, list) else step]
    return str(value)


def _is_xml(response: Response) -> bool:
    return response.headers.get("content-type", "").endswith("xml")


def _at_xml(body: bytes, path: str) -> str:
    element = fromstring(body)
    *steps, last = path.split(".")
    for step in steps:
        element = next(child for child in element if child.tag.rpartition("}")[2] == step)
    return element.attrib[last.removeprefix("@")]


def _indented(body: bytes) -> str:
    text = body.decode()
    declaration = text[: text.index("?>") + 2] + "\n" if text.startswith("<?xml") else ""
    root = parseString(text).documentElement
    assert root is not None
    return declaration + root.toprettyxml(indent="  ").strip()


def _written(response: Response, known: Mapping[str, str]) -> str:
    lines = [f"HTTP/1.1 {response.status} {response.phrase}"]
    lines += [f"{name}: {value}" for name, value in sorted(response.headers.items()) if name not in _LEFT_OUT]
    text = "\n".join(lines)
    if response.body:
        if response.headers.get("content-type") == "application/json":
            written = json.dumps(json.loads(response.body), indent=2, ensure_ascii=False)
        elif _is_xml(response):
            written = _indented(response.body)
        else:
            written = response.body.decode()
        text += "\n\n" + written
    # The longest first: one value may hold another.
    for name, value in sorted(known.items(), key=lambda pair: -len(pair[1])):
        if len(value) > 3:
            text = text.replace(value, f"{{{{{name}}}}}")
    text = _ETAG.sub("etag: {{any}}", text)
    return _UUID.sub("{{any}}", _ANY.sub(r'\1"{{any}}"', text))


def check(path: Path, send: Send, variables: Mapping[str, str], *, bless: bool) -> None:
    """Hold the conversation in a file and compare, or write down what was said."""
    expected = path.read_text()
    said = play(parse(expected), send, variables).text()
    if bless:
        path.write_text(said)
        return
    names = (str(path), "what was said")
    difference = "\n".join(unified_diff(expected.splitlines(), said.splitlines(), *names, lineterm=""))
    assert said == expected, f"`make bless` rewrites it; then read the diff\n{difference}"
