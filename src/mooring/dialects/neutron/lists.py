"""What all resources share: filters, sorting, pages and a choice of fields, over views as they are answered.

Any attribute can be filtered by; a filter that is repeated keeps what fits one of its values, and one that no attribute is called after
keeps everything, as it does in Neutron.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, cast
from urllib.parse import urlencode

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.pieces import Pieces

View: TypeAlias = dict[str, object]

CONTROLS = frozenset({"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir", "tags"})
_TRUE = frozenset({"true", "1"})
_MAX_DIGITS = 9
_TAGS: Mapping[str, Callable[[set[str], set[str]], bool]] = {
    "tags": lambda asked, known: asked <= known,
    "tags-any": lambda asked, known: bool(asked & known),
    "not-tags": lambda asked, known: not asked <= known,
    "not-tags-any": lambda asked, known: not asked & known,
}


def collection(call: Call, plural: str, views: Sequence[View]) -> Answer:
    """Answer a list: what its query keeps of `views`, which all have the same attributes and an id."""
    wanted = values(call)
    ordered = _sorted(views, wanted)
    page = _page([view for view in ordered if _kept(view, wanted)], ordered, Window.of(wanted))
    views = [chosen(view, wanted) for view in page.views]
    first, last = (page.views[0], page.views[-1]) if page.views else (None, None)
    return Answer(
        body=Pieces.of(plural, views, links(call, plural, first if page.earlier else None, last if page.more else None))
    )


def links(call: Call, plural: str, first: View | None, last: View | None) -> dict[str, object]:
    """Return the links to what comes after a page's `last` view, and before its `first`, where they are given."""
    found: list[dict[str, str]] = []
    if last is not None:
        found.append(_link(call, "next", [("marker", str(last["id"]))]))
    if first is not None:
        found.append(_link(call, "previous", [("marker", str(first["id"])), ("page_reverse", "True")]))
    return {f"{plural}_links": found} if found else {}


def single(call: Call, singular: str, view: View, status: int = 200) -> Answer:
    """Answer one thing, or those of its attributes that `fields` names."""
    return Answer(status, {singular: chosen(view, values(call))})


def values(call: Call) -> Mapping[str, list[str]]:
    """Return what a query asks for, by name; what is empty asks for nothing."""
    wanted: dict[str, list[str]] = {}
    for name, value in call.parameters:
        # As in Neutron, and as clients count on that leave a filter empty: nothing is asked.
        if value:
            wanted.setdefault(name, []).append(value)
    return wanted


def chosen(view: View, wanted: Mapping[str, list[str]]) -> View:
    """Return those of a view's attributes that `fields` names."""
    names = wanted.get("fields", [])
    return {name: view[name] for name in names if name in view} if names else view


# ---------------------------------------------------------------------------------------------------------------- filters


def _kept(view: View, wanted: Mapping[str, list[str]]) -> bool:
    if not all(_fits(view[name], texts) for name, texts in wanted.items() if name in view and name not in CONTROLS):
        return False
    return _has_tags(view, wanted) and _is_new(view, wanted)


def _has_tags(view: View, wanted: Mapping[str, list[str]]) -> bool:
    """Say whether a thing has the tags that are asked for, which stand in one value with commas between, or in several."""
    tags = view.get("tags")
    if not isinstance(tags, list):
        return True
    known = {str(tag) for tag in cast("list[object]", tags)}
    return all(
        fits({tag for text in wanted[name] for tag in text.split(",")}, known)
        for name, fits in _TAGS.items()
        if name in wanted
    )


def _is_new(view: View, wanted: Mapping[str, list[str]]) -> bool:
    since = wanted.get("changed_since")
    updated = view.get("updated_at")
    if since is None or updated is None:
        return True
    return datetime.fromisoformat(str(updated)) >= max(map(_time, since))


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        reason = (
            f"Invalid input for query parameter changed_since: {shown(text)} is no time, as in 2026-05-04T03:02:01Z."
        )
        raise Refused(400, reason) from error
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _fits(value: object, texts: list[str]) -> bool:
    match value:
        case bool():
            return any((text.lower() in _TRUE) is value for text in texts)
        case None:
            return False
        case list():
            return _holds(cast("list[object]", value), texts)
        case dict():
            # There is no way to say it in a query.
            return True
        case _:
            return str(value) in texts


def _holds(items: list[object], texts: list[str]) -> bool:
    """Say whether a list fits: of texts, one of them; of objects, `key=value`, one of the values of each key that is named."""
    if not any(isinstance(item, dict) for item in items):
        return any(str(item) in texts for item in items)
    named: dict[str, set[str]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        named.setdefault(key, set()).add(value)
    objects = cast("list[dict[str, object]]", items)
    return all(any(str(each.get(key)) in values for each in objects) for key, values in named.items())


# ---------------------------------------------------------------------------------------------------------------- sorting


def _sorted(views: Sequence[View], wanted: Mapping[str, list[str]]) -> Sequence[View]:
    keys, directions = wanted.get("sort_key", []), wanted.get("sort_dir", [])
    if directions and len(directions) != len(keys):
        raise Refused(400, "The number of sort_keys and sort_dirs must be same.")
    if unknown := [text for text in directions if text not in {"asc", "desc"}]:
        raise Refused(400, f"Invalid input for query parameter sort_dir: {shown(unknown[0])} is neither asc nor desc.")
    # The last key first: sorting keeps the order of what is equal.
    for key, direction in reversed(list(zip(keys, directions or ["asc"] * len(keys), strict=True))):
        if any(isinstance(view.get(key, []), list | dict) for view in views):
            raise Refused(400, f"Invalid input for query parameter sort_key: {shown(key)} is no attribute to sort by.")
        views = sorted(views, key=lambda view: _rank(view[key]), reverse=direction == "desc")
    return views


def _rank(value: object) -> tuple[bool, str, int]:
    """Return what sorts an attribute's values: none of all first, numbers as numbers."""
    if isinstance(value, int):
        return True, "", int(value)
    return value is not None, str(value), 0


# ------------------------------------------------------------------------------------------------------------------ pages


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for: at most `limit` things (0 is all) after `marker`, or with `reverse` before it."""

    limit: int
    marker: str | None
    reverse: bool

    @classmethod
    def of(cls, wanted: Mapping[str, list[str]]) -> "Window":
        """Read it from a query."""
        limit = wanted.get("limit", ["0"])[-1]
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= _MAX_DIGITS):
            raise Refused(400, f"Invalid input for query parameter limit: {shown(limit)} is not a whole number from 0.")
        return cls(
            int(limit),
            wanted["marker"][-1] if "marker" in wanted else None,
            wanted.get("page_reverse", [""])[-1].lower() in _TRUE,
        )


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of a list, and whether there is more after it and before it."""

    views: Sequence[View]
    more: bool = False
    earlier: bool = False


def _page(views: Sequence[View], every: Sequence[View], window: Window) -> _Page:
    """Cut a page out of `views`; the marker may be one of `every` that was filtered out."""
    before: Sequence[View] = ()
    after = views
    if window.marker is not None:
        ids = [view["id"] for view in every]
        if window.marker not in ids:
            raise Refused(400, f"marker {shown(window.marker)} could not be found.")
        passed = set(ids[: ids.index(window.marker) + 1])
        before = [view for view in views if view["id"] in passed]
        after = [view for view in views if view["id"] not in passed]
    if window.reverse:
        # The marker itself is not before itself.
        before = [view for view in before if view["id"] != window.marker] if window.marker is not None else views
        cut = before[-window.limit :] if window.limit else before
        return _Page(cut, bool(cut and window.limit and window.marker), len(cut) < len(before))
    cut = after[: window.limit] if window.limit else after
    return _Page(cut, bool(cut) and len(cut) < len(after), bool(window.limit) and bool(before))


def _link(call: Call, relation: str, where: list[tuple[str, str]]) -> dict[str, str]:
    kept = [(name, value) for name, value in call.parameters if name not in {"marker", "page_reverse"}]
    return {"rel": relation, "href": f"{call.url(call.path.strip('/'))}?{urlencode([*kept, *where])}"}
