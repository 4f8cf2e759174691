"""Pages, filters and orders of any list: held against a plain reading of what they mean."""

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.http import Refused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.openstack.calls import Answer, Call, Site
from mooring.dialects.pieces import Pieces

VIEWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from("abc"),
            "size": st.integers(0, 12) | st.none(),
            "up": st.booleans(),
            "tags": st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
        }
    ),
    max_size=12,
).map(lambda views: [{"id": f"id{number}", **view} for number, view in enumerate(views)])


def call(*query: tuple[str, object]) -> Call:
    anything: Any = None
    return Call(
        operations=anything,
        site=Site(),
        request_id="req",
        base="http://cloud",
        path="/network/v2.0/ships",
        query_string=urlencode(query),
        params={},
        headers={},
        body=b"",
    )


def asked(views: list[View], *query: tuple[str, object]) -> dict[str, Any]:
    return whole(collection(call(*query), "ships", views))


def whole(answer: Answer) -> dict[str, Any]:
    assert isinstance(answer.body, Pieces)
    return answer.body.whole()


def follow(views: list[View], relation: str, *query: tuple[str, object]) -> list[list[View]]:
    """Return all pages, by the links from one to the next."""
    pages, body = [], asked(views, *query)
    while True:
        pages.append(body["ships"])
        links = [link["href"] for link in body.get("ships_links", []) if link["rel"] == relation]
        if not links:
            return pages
        here = call()
        here.query_string = links[0].partition("?")[2]
        body = whole(collection(here, "ships", views))


@given(views=VIEWS, limit=st.integers(1, 5), name=st.sampled_from("abc"))
def test_pages_are_the_list(views: list[View], limit: int, name: str) -> None:
    for query in ([], [("name", name)], [("sort_key", "size"), ("sort_dir", "desc")]):
        whole = asked(views, *query)["ships"]
        pages = follow(views, "next", *query, ("limit", limit))
        assert [view for page in pages for view in page] == whole
        assert all(len(page) == limit for page in pages[:-1])
        backwards = follow(views, "previous", *query, ("limit", limit), ("page_reverse", "true"))
        assert [view for page in reversed(backwards) for view in page] == whole


@given(views=VIEWS, names=st.lists(st.sampled_from("abcd"), min_size=1), size=st.integers(0, 12), up=st.booleans())
def test_filters(views: list[View], names: list[str], size: int, up: bool) -> None:
    named = [("name", name) for name in names]
    assert asked(views, *named)["ships"] == [view for view in views if view["name"] in names]
    assert asked(views, ("size", size), ("up", up))["ships"] == [
        view for view in views if view["size"] == size and view["up"] is up
    ]
    assert asked(views, ("size", ""), ("limit", ""), ("marker", ""))["ships"] == views
    assert asked(views, ("colour", "red"))["ships"] == views


@given(views=VIEWS)
def test_tags(views: list[View]) -> None:
    def having(fits: Callable[[set[str]], object]) -> list[View]:
        return [view for view in views if fits({*cast("list[str]", view["tags"])})]

    both = {"x", "y"}
    assert asked(views, ("tags", "x,y"))["ships"] == having(lambda tags: both <= tags)
    assert asked(views, ("tags", "x"), ("tags", "y"))["ships"] == having(lambda tags: both <= tags)
    assert asked(views, ("tags-any", "x,y"))["ships"] == having(lambda tags: both & tags)
    assert asked(views, ("not-tags", "x,y"))["ships"] == having(lambda tags: not both <= tags)
    assert asked(views, ("not-tags-any", "x,y"))["ships"] == having(lambda tags: not both & tags)
    assert asked(views, ("tags", "x"), ("not-tags", "y"))["ships"] == having(
        lambda tags: "x" in tags and "y" not in tags
    )


@pytest.mark.parametrize(
    "since, kept",
    [
        ("2026-05-04T03:02:01Z", ["now"]),
        ("2026-05-04T05:02:01+02:00", ["now"]),
        ("2026-05-04T03:02:02", []),
        ("2026-05-04", ["now"]),
        ("2020-01-01", ["old", "now"]),
    ],
)
def test_what_changed_since(since: str, kept: list[str]) -> None:
    views: list[View] = [
        {"id": "old", "updated_at": "2026-01-01T00:00:00Z"},
        {"id": "now", "updated_at": "2026-05-04T03:02:01Z"},
    ]
    assert [view["id"] for view in asked(views, ("changed_since", since))["ships"]] == kept


@given(views=VIEWS)
def test_orders(views: list[View]) -> None:
    def size(view: View) -> int:
        return -1 if view["size"] is None else int(str(view["size"]))

    assert asked(views, ("sort_key", "size"))["ships"] == sorted(views, key=size)
    assert asked(views, ("sort_key", "name"), ("sort_key", "size"), ("sort_dir", "desc"), ("sort_dir", "asc"))[
        "ships"
    ] == sorted(sorted(views, key=size), key=lambda view: str(view["name"]), reverse=True)


def test_objects_are_filtered_by_their_parts() -> None:
    views: list[View] = [
        {"id": "1", "ips": [{"net": "a", "ip": "10.0.0.1"}, {"net": "b", "ip": "10.0.0.2"}]},
        {"id": "2", "ips": [{"net": "a", "ip": "10.0.0.3"}]},
        {"id": "3", "ips": []},
    ]

    def ids(*filters: str) -> list[object]:
        return [view["id"] for view in asked(views, *(("ips", text) for text in filters))["ships"]]

    assert ids("net=a") == ["1", "2"]
    assert ids("ip=10.0.0.1", "ip=10.0.0.3") == ["1", "2"]
    assert ids("net=a", "ip=10.0.0.3") == ["2"]
    assert ids("nonsense") == []


def test_fields_of_one_thing() -> None:
    view: View = {"id": "1", "name": "a", "size": 1}
    assert single(call(("fields", "name"), ("fields", "colour")), "ship", view).body == {"ship": {"name": "a"}}
    assert single(call(("fields", "")), "ship", view).body == {"ship": view}


@pytest.mark.parametrize(
    "query",
    [
        [("limit", "x")],
        [("limit", "-1")],
        [("limit", "1" * 10)],
        [("marker", "nobody")],
        [("sort_key", "tags")],
        [("sort_key", "nothing")],
        [("sort_key", "name"), ("sort_dir", "sideways")],
        [("sort_dir", "asc")],
        [("name", "x")] * 101,
    ],
    ids=lambda query: f"{len(query)} {query[0][0]}",
)
def test_what_cannot_be(query: list[tuple[str, object]]) -> None:
    with pytest.raises(Refused) as refused:
        asked([{"id": "1", "name": "a", "tags": []}], *query)
    assert refused.value.status == 400
