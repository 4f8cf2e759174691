"""The parts that every HTTP dialect shares, each for itself; test_edge.py has them together, behind a real server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.http import MAX_DEPTH, MAX_VALUES, Refused, base_url, parse_json, shown, storable

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "spaces": (b"  \n", "not JSON"),
    "cut short": (b'{"pool": ', "not JSON"),
    "two documents": (b"{}{}", "not JSON"),
    "single quotes": (b"{'pool': 1}", "not JSON"),
    "comma at the end": (b'{"pool": 1,}', "not JSON"),
    "comment": (b"{} // x", "not JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "UTF-16": ('{"pool": "x"}'.encode("utf-16"), "not UTF-8"),
    "UTF-32": ('{"pool": "x"}'.encode("utf-32-be"), "not JSON"),
    "Latin-1": ('{"pool": "é"}'.encode("latin-1"), "not UTF-8"),
    "overlong": (b'{"pool": "\xc0\xaf"}', "not UTF-8"),
    "surrogates as UTF-8": (b'{"pool": "\xed\xa0\x80"}', "not UTF-8"),
    "control character": (b'{"pool": "a\nb"}', "not JSON"),
    "half a surrogate pair": (b'{"pool": "\\ud800"}', "surrogate"),
    "half a surrogate pair in a key": (b'{"\\udfff": 1}', "surrogate"),
    "U+0000": (b'{"pool": ["\\u0000"]}', "U+0000"),
    "key twice": (b'{"pool": "a", "pool": "b"}', "'pool' twice"),
    "key twice, written in two ways": (b'{"pool": "a", "p\\u006fol": "b"}', "'pool' twice"),
    "key twice, deep": (b'[{"a": {"b": 1, "b": 1}}]', "'b' twice"),
    "NaN": (b'{"n": NaN}', "NaN"),
    "infinity": (b'{"n": -Infinity}', "-Infinity"),
    "number that overflows": (b'{"n": 1e999}', "too large"),
    "integer of 65 bits": (b'{"n": 9223372036854775808}', "64 bits"),
    "integer of 60,000 digits": (b'{"n": ' + b"9" * 60_000 + b"}", "64 bits"),
    "lists 33 deep": (b"[" * 33 + b"]" * 33, "nested deeper"),
    "lists 30,000 deep": (b"[" * 30_000 + b"]" * 30_000, "nested deeper"),
    "lists 60,000 deep and cut short": (b"[" * 60_000, "nested deeper"),
    "a list of 4,000": (b"[" + b"0," * 3_999 + b"0]", "4000 keys and values"),
    "2,000 keys": (b"{" + b",".join(b'"%d":0' % number for number in range(2_000)) + b"}", "4000 keys and values"),
    "objects 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper"),
}


@pytest.mark.parametrize("body, why", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_json_is_refused_with_a_reason(body: bytes, why: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_json(body)
    assert refused.value.status == 400
    assert why in refused.value.reason
    assert len(refused.value.reason) < 200


_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(_values)
def test_good_json_is_what_it_says(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        parse_json(body)
    except Refused as refused:
        assert refused.status == 400  # noqa: PT017 - either way is right, and this is what one of them must be


def test_what_is_just_allowed() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    parse_json(b"[" + b"0," * (MAX_VALUES - 2) + b"0]")


def test_storable() -> None:
    assert storable("naïve ⚓ 𝄞")
    assert not storable("a\0b")
    assert not storable("\ud834")


def test_shown_is_short_and_printable() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("\N{RIGHT-TO-LEFT OVERRIDE}" * 1000)) < 600


def test_base_url() -> None:
    scope = {"headers": [(b"host", b"cloud.example:8774")], "scheme": "https", "root_path": "/os"}
    assert base_url(scope) == "https://cloud.example:8774/os"
    assert base_url({"headers": [], "server": ("192.0.2.1", 80)}) == "http://192.0.2.1:80"
