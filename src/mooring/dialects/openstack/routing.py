"""From a method and a path to a route."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mooring.dialects.http import Lane, storable
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.faults import Form

COMPUTE = ("compute", "v2.1")
IDENTITY = "identity"
# What clients of those years put into their paths: the same resources, but for the XML of the first, see xml/documents.py.
OLD_VERSIONS = frozenset({"v1.1", "v2"})
DRAFT = "/compute/v1.1/"
_MAX_SEGMENT = 255


class Access(StrEnum):
    """What a caller must show before a route is looked at any further."""

    PUBLIC = "public"
    TOKEN = "token"  # noqa: S105 - the name of a kind of access
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Route:
    """A method on a path, `{...}` standing for one segment, and who answers.  `name` is how the table of faults calls it."""

    method: str
    path: str
    handler: Callable[[Call], Answer]
    name: str
    access: Access = Access.PROJECT
    lane: Lane | None = None

    @property
    def segments(self) -> tuple[str, ...]:
        """Return the path's parts."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def form(self) -> Form:
        """Return how faults are told here."""
        return form_of(self.path)

    @property
    def threads(self) -> Lane:
        """Return where the handler runs."""
        return self.lane or (Lane.READ if self.method in {"GET", "HEAD"} else Lane.WRITE)


def form_of(path: str) -> Form:
    """Return how faults are told for a path, whether or not there is a route."""
    return Form.KEYSTONE if path.lstrip("/").split("/")[0] == IDENTITY else Form.NOVA


@dataclass(frozen=True, slots=True)
class Found:
    """A route, what stood for its `{...}`, and the project that the URL named, if it did."""

    route: Route
    params: Mapping[str, str]
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """No route: the path is unknown, or `allowed` says with which methods it is known."""

    allowed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict[str, "_Node"])
    variable: "_Node | None" = None
    variable_name: str = ""
    routes: dict[str, Route] = field(default_factory=dict[str, Route])


class Router:
    """All routes, as a tree by path segments; a literal segment wins over a variable one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Build the tree; two routes for one method and path are a mistake."""
        self.routes = tuple(routes)
        self._root = _Node()
        for route in self.routes:
            node = self._root
            for segment in route.segments:
                node = _child(node, segment)
            if route.method in node.routes:
                raise ValueError(f"two routes for {route.method} {route.path}")
            node.routes[route.method] = route

    def find(self, method: str, path: str) -> Found | Missed:
        """Return the route of a request, or why there is none."""
        segments = _segments(path)
        if segments is None:
            return Missed()
        project = None
        found = self._walk(segments)
        if found is None and segments[:2] == COMPUTE and len(segments) > 3:
            # The project may stand between the version and the resource.
            project = segments[2]
            found = self._walk(COMPUTE + segments[3:])
        if found is None:
            return Missed()
        node, params = found
        if method not in node.routes:
            return Missed(tuple(sorted(node.routes)))
        return Found(node.routes[method], params, project)

    def _walk(self, segments: tuple[str, ...]) -> tuple[_Node, dict[str, str]] | None:
        node, params = self._root, dict[str, str]()
        for segment in segments:
            following = node.literal.get(segment)
            if following is None and node.variable is not None:
                following = node.variable
                params[node.variable_name] = segment
            if following is None:
                return None
            node = following
        return (node, params) if node.routes else None


def _child(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.literal.setdefault(segment, _Node())
    name = segment.strip("{}")
    if node.variable is None:
        node.variable, node.variable_name = _Node(), name
    elif node.variable_name != name:
        raise ValueError(f"{{{name}}} is called {{{node.variable_name}}} in another route")
    return node.variable


def _segments(path: str) -> tuple[str, ...] | None:
    """Split a path; None for one that nothing can be called by."""
    parts = path.removeprefix("/").removesuffix("/").split("/")
    # A suffix is an old way to say Accept: application/json, or application/xml where that is spoken.
    parts[-1] = parts[-1].removesuffix(".json")
    if parts[0] == COMPUTE[0]:
        parts[-1] = parts[-1].removesuffix(".xml")
        if len(parts) > 2 and parts[1] in OLD_VERSIONS:
            parts[1] = COMPUTE[1]
    for part in parts:
        if not part or len(part) > _MAX_SEGMENT or not part.isprintable() or not storable(part):
            return None
    return tuple(parts)
