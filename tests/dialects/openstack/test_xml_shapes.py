"""What the table of XML documents writes, it reads back as what it was."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.dialects.openstack.xml.documents import (
    BODIES,
    COMPUTE,
    DRAFTS,
    NAMESPACES,
    PREFIXES,
    VIEWS,
    Document,
    body_of_xml,
    document_of,
    fault_as_xml,
    view_as_xml,
)
from mooring.dialects.openstack.xml.parsing import parse_xml
from mooring.dialects.openstack.xml.shapes import (
    Anything,
    Beside,
    Inside,
    Items,
    Keyed,
    Kind,
    Leaf,
    Node,
    Shape,
    serialised,
)

# All that XML can say, in attributes and, as nova's readers did, without space around it in elements.
_texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), max_size=12
)
_trimmed = _texts.map(lambda text: text.strip(" \t\r\n"))


def _leaves(leaf: Leaf, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    made: st.SearchStrategy[Any] = {
        Kind.TEXT: texts.filter(lambda text: text != leaf.null),
        Kind.WHOLE: st.integers(-(10**17), 10**17),
        Kind.REAL: st.integers(-1000, 1000).map(lambda number: number / 4),
        Kind.TRUTH: st.booleans(),
    }[leaf.kind]
    return made if leaf.null is None else made | st.none()


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return values that have a shape."""
    match shape:
        case Leaf():
            return _leaves(shape, _trimmed)
        case Inside():
            return _leaves(shape.leaf, _texts)
        case Items():
            return st.lists(values(shape.shape), max_size=3)
        case Keyed():
            return st.dictionaries(_texts, values(shape.shape), max_size=3)
        case Node():
            return st.fixed_dictionaries(
                {},
                optional={
                    **{key: _leaves(leaf, _texts) for key, leaf in shape.attributes.items()},
                    **{
                        key: st.lists(values(child.shape), min_size=1, max_size=2)
                        if isinstance(child, Beside)
                        else values(child)
                        for key, child in shape.children.items()
                    },
                },
            )
        case Anything():
            return st.dictionaries(st.sampled_from(["a", "b"]), _trimmed.filter(bool), min_size=1)


def _read(document: Document, text: bytes) -> Any:
    return document.shape.read(parse_xml(text, PREFIXES))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_views_there_and_back(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(VIEWS)))
    view = data.draw(values(VIEWS[key].shape))
    assert _read(VIEWS[key], view_as_xml({key: view}, "some-route")) == view


@settings(max_examples=30)
@given(data=st.data())
def test_drafts_there_and_back(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(DRAFTS)))
    view = data.draw(values(DRAFTS[key].shape))
    assert _read(DRAFTS[key], view_as_xml({key: view}, "some-route", draft=True)) == view


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_bodies_there_and_back(data: st.DataObject) -> None:
    """A body's shape writes it too, though only clients do: what it writes is what such a client may send."""
    key = data.draw(st.sampled_from(sorted(BODIES)))
    body = data.draw(values(BODIES[key]))
    text = serialised(BODIES[key].write(key, body), NAMESPACES, COMPUTE, declaration=True)
    assert body_of_xml(text) == {key: body}


@settings(max_examples=20)
@given(view=st.dictionaries(st.sampled_from(["colour", "size"]), _trimmed.filter(bool), min_size=1))
def test_a_view_without_a_shape_is_elements(view: dict[str, str]) -> None:
    assert _read(document_of("boat", "boat"), view_as_xml({"boat": view}, "boat")) == view


def test_plainest_views() -> None:
    view = {"boat": {"name": None, "crew": ["ann", "bo"], "masts": [1, 2], "sails": {"main": True}}}
    assert view_as_xml(view, "boat").decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        "<boat><name>None</name><crew><item>ann</item><item>bo</item></crew>"
        "<masts><mast>1</mast><mast>2</mast></masts><sails><main>True</main></sails></boat>"
    )


def test_what_xml_cannot_say() -> None:
    text = view_as_xml({"server": {"name": "a\0b\x1fc\ud800d\ufffee"}}, "server").decode()
    assert 'name="a\ufffdb\ufffdc\ufffdd\ufffde"' in text


def test_a_label_is_no_name_of_a_view() -> None:
    """A network may be called as a view is."""
    text = view_as_xml({"servers": [{"version": 4, "addr": "10.0.0.2"}]}, "server-address").decode()
    assert text.endswith(f'<network xmlns="{COMPUTE}" id="servers"><ip version="4" addr="10.0.0.2"/></network>')


def test_faults() -> None:
    told = {"overLimit": {"code": 413, "message": "too <large>", "retryAfter": "3"}}
    assert fault_as_xml(told).decode() == (
        f'<overLimit xmlns="{COMPUTE}" code="413" retryAfter="3"><message>too &lt;large&gt;</message></overLimit>'
    )
