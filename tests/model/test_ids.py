"""Identifiers and the device names that are made from them."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model import ids
from mooring.model.ids import InstanceId, NetworkId, NicId, RouterId, UplinkId, is_uuid, short

ANY = st.uuids(version=4).map(str)
NAMES: tuple[Callable[[str], str], ...] = (
    lambda one: ids.bridge_name(NetworkId(one)),
    lambda one: ids.inner_name(NetworkId(one)),
    lambda one: ids.plug_name(NetworkId(one)),
    lambda one: ids.port_name(NicId(one)),
    lambda one: ids.guest_end_name(NicId(one)),
    lambda one: ids.uplink_name(UplinkId(one)),
)


@given(ANY)
def test_device_names_fit_the_kernel_and_tell_things_apart(one):
    names = [name(one) for name in NAMES]
    assert all(len(name) <= 15 and name.isalnum() for name in names)
    assert len(set(names)) == len(names), "six kinds of device of one id are six devices"


@given(ANY, ANY)
def test_different_ids_have_different_names(one, other):
    if one[:12] != other[:12]:
        assert short(one) != short(other)


@given(ANY)
def test_namespaces_carry_the_whole_id(one):
    assert ids.router_namespace(RouterId(one)).endswith(one)
    assert ids.guest_namespace(InstanceId(one)).endswith(one)
    assert ids.router_namespace(RouterId(one)) != ids.guest_namespace(InstanceId(one))


@given(ANY)
def test_a_uuid_is_one(one):
    assert is_uuid(one)
    assert is_uuid(one.upper())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "00000000-0000-4000-8000-00000000000",
        "00000000-0000-4000-8000-0000000000000",
        "{00000000-0000-4000-8000-000000000000}",
        "urn:uuid:00000000-0000-4000-8000-000000000000",
        "00000000000040008000000000000000",
        "00000000-0000-4000-8000-00000000000g",
        "00000000-0000-4000-8000-000000000000\n",
        " 00000000-0000-4000-8000-000000000000",
        "0x000000-0000-4000-8000-000000000000",
        "\u06600000000-0000-4000-8000-000000000000",
    ],
)
def test_what_only_looks_like_a_uuid_is_none(text):
    assert not is_uuid(text)


@given(st.text(max_size=40))
def test_any_text_is_answered(text):
    if is_uuid(text):
        assert str(UUID(text)) == text.lower()
