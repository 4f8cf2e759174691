"""What a handler is given and what it returns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl

from mooring.dialects.http import Json, Refused, parse_json, shown, storable
from mooring.dialects.openstack.bodies import Body, checked
from mooring.dialects.openstack.xml import XML_TYPES, body_of_xml
from mooring.dialects.openstack.xml.negotiation import is_compute
from mooring.model.accounts import Caller, Token
from mooring.model.faults import Unauthenticated
from mooring.operations import Operations

B = TypeVar("B", bound=Body)

UNAUTHENTICATED = "The request you have made requires authentication."
JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.compute+json"})
FORM_TYPE = "application/x-www-form-urlencoded"
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})")


class Microversion(NamedTuple):
    """A version of the compute API."""

    major: int
    minor: int

    def __str__(self) -> str:
        """Write it as clients do."""
        return f"{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version.

        Raises:
            Refused: it is none, or one that we don't speak.
        """
        if text == "latest":
            return cls(*LAST)
        found = _VERSION.fullmatch(text)
        if found is None:
            raise Refused(
                400, f"API Version String {shown(text)} is of invalid format. Must be of format MajorNum.MinorNum."
            )
        version = cls(int(found[1]), int(found[2]))
        if not FIRST <= version <= LAST:
            raise Refused(
                406, f"Version {version} is not supported by the API. Minimum is {FIRST} and maximum is {LAST}."
            )
        return version


FIRST = Microversion(2, 1)
# 2.36 is where nova took the floating IPs away: clients that negotiate must not get there.
LAST = Microversion(2, 35)


@dataclass(frozen=True, slots=True)
class Site:
    """What this installation tells clients of itself; without a public URL they are told the one that they came by.

    `services` are what the catalogue names beside the built-in ones, by type, name and path.
    """

    public_url: str | None = None
    region: str = "RegionOne"
    services: tuple[tuple[str, str, str], ...] = ()


@dataclass(slots=True)
class Call:
    """A request to one route.  `source` is the address that it came from; `words` are what the wording of a fault may name."""

    operations: Operations
    site: Site
    request_id: str
    base: str
    path: str
    query_string: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    source: str | None = None
    version: Microversion | None = None
    known_caller: Caller | None = None
    known_token: Token | None = None
    words: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def caller(self) -> Caller:
        """Return who calls and for which project; only routes with Access.PROJECT may ask."""
        if self.known_caller is None:
            raise Unauthenticated(UNAUTHENTICATED)
        return self.known_caller

    @property
    def token(self) -> Token:
        """Return the token that the request came with; only routes with Access.TOKEN may ask."""
        if self.known_token is None:
            raise Unauthenticated(UNAUTHENTICATED)
        return self.known_token

    @property
    def speaks(self) -> Microversion:
        """Return the compute version in which to answer."""
        return self.version or FIRST

    @property
    def idempotency_key(self) -> str | None:
        """Return the key under which the call may be repeated without doing it twice."""
        return self.headers.get("idempotency-key")

    @property
    def media_type(self) -> str:
        """Return the body's media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Return the query's parameters in their order, repeated ones too.

        Raises:
            Refused: there are too many, or one holds what no database can.
        """
        try:
            pairs = parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=100)
        except ValueError as error:
            raise Refused(400, "The query has more than 100 parameters.") from error
        if not all(storable(key) and storable(value) for key, value in pairs):
            raise Refused(400, "The query holds U+0000.")
        return pairs

    @property
    def query(self) -> dict[str, str]:
        """Return the query's parameters; of one that is repeated, the last."""
        return dict(self.parameters)

    def json(self) -> Json:
        """Return the body, parsed; None if there is none.  What the compute API is sent in XML is what it would be in JSON.

        Raises:
            Refused: it is something else than JSON, or than XML where that is read.
        """
        if not self.body:
            return None
        if self.media_type in XML_TYPES and is_compute(self.path):
            return body_of_xml(self.body)
        if self.media_type and self.media_type not in JSON_TYPES:
            raise Refused(415, f"Unsupported Content-Type {shown(self.media_type)}: send application/json.")
        return parse_json(self.body)

    def json_or_form(self) -> Json:
        """Return the body like `json`; a form (which the openstack command 7.0 to 9.0 sends) is an object of texts."""
        if not self.body or self.media_type != FORM_TYPE:
            return self.json()
        try:
            pairs = parse_qsl(
                self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=100
            )
        except ValueError as error:
            raise Refused(400, "The body is not a form.") from error
        form: dict[str, Json] = {**dict(pairs)}
        if len(form) < len(pairs) or not all(storable(key) and storable(value) for key, value in pairs):
            raise Refused(400, "The form has a key twice, or holds U+0000.")
        return form

    def read(self, model: type[B]) -> B:
        """Return the JSON body as a model's value.

        Raises:
            Refused: it is not what the model says; the sentence names the field.
        """
        return checked(model, self.json())

    def url(self, *segments: str) -> str:
        """Return the URL of something on this server."""
        return "/".join((self.base, *segments))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is what JSON can say, maybe in pieces (mooring.dialects.pieces), or None for none."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
