"""docs/openstack.md against the code and the conversations: each of its lines is a route, and is shown where it says so."""

import re
from pathlib import Path

from mooring.dialects import neutron
from mooring.dialects.openstack.routes import ROUTES
from mooring.dialects.openstack.routing import Found, Router

HERE = Path(__file__).parent
EVERY = (*ROUTES, *neutron.ROUTES)
METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE"
LINE = re.compile(rf"^\| ({METHODS}) \| `([^`]+)` \| [^|]+ \| .* \| ([^|]+) \|$", re.MULTILINE)
REQUEST = re.compile(rf"^({METHODS}) (\S+)$", re.MULTILINE)
# Tags are one and the same for things of each kind.
TAGGED = re.compile(r"/[a-z-]+/(?:\{\w+\})/tags")


def _lines() -> dict[tuple[str, str], set[str]]:
    """Return which conversations show each route, as the page has it."""
    text = (HERE.parents[1] / "docs" / "openstack.md").read_text()
    found = [(method, path, tests) for method, path, tests in LINE.findall(text)]
    lines = {(method, path): set(re.findall(r"[a-z0-9-]+\.http", tests)) for method, path, tests in found}
    assert len(lines) == len(found), "a route has two lines"
    return lines


def _asked(dialect: str) -> dict[tuple[str, str], set[str]]:
    """Return in which conversations of a dialect each route is asked."""
    router = Router(EVERY)
    asked: dict[tuple[str, str], set[str]] = {}
    for file in (HERE / dialect / "conversations").glob("*.http"):
        for method, target in REQUEST.findall(file.read_text()):
            found = router.find(method, re.sub(r"\{\{\w+\}\}", "x", target.partition("?")[0]))
            if isinstance(found, Found):
                asked.setdefault((method, _kind(found.route.path)), set()).add(file.name)
    return asked


def _kind(path: str) -> str:
    return TAGGED.sub("/tags", path)


def test_lines_are_routes_and_routes_have_lines() -> None:
    assert set(_lines()) == {(route.method, route.path) for route in EVERY}


def test_each_is_shown_where_it_says_so() -> None:
    asked = {dialect: _asked(dialect) for dialect in ("openstack", "neutron")}
    for (method, path), named in _lines().items():
        shown = asked["neutron" if path.startswith("/network") else "openstack"].get((method, _kind(path)), set())
        assert named, f"{method} {path} is in no conversation"
        assert named <= shown, f"{method} {path} is shown in {shown or 'none'}"
