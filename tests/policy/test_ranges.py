"""Ranges of addresses as what they are: sets of addresses."""

from ipaddress import IPv4Address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mooring.model.nouns import AddressRange
from mooring.policy.addresses import joined, without

_BASE = IPv4Address("192.0.2.0")


def _range(first: int, last: int) -> AddressRange:
    return AddressRange(_BASE + first, _BASE + last)


_parts = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: _range(min(pair), max(pair)))


def _apart(parts: list[AddressRange]) -> list[AddressRange]:
    """Return those that overlap none before them."""
    kept: list[AddressRange] = []
    for part in parts:
        if not any(part.first <= other.last and other.first <= part.last for other in kept):
            kept.append(part)
    return kept


def _every(parts: tuple[AddressRange, ...] | list[AddressRange]) -> set[int]:
    return {number for part in parts for number in range(int(part.first), int(part.last) + 1)}


@given(parts=st.lists(_parts, max_size=6).map(_apart))
def test_joined(parts: list[AddressRange]) -> None:
    made = joined(parts)
    assert _every(made) == _every(parts)
    assert all(one.last + 1 < other.first for one, other in pairwise(made))


@given(parts=st.lists(_parts, max_size=6).map(_apart), gone=_parts)
def test_without(parts: list[AddressRange], gone: AddressRange) -> None:
    left = without(parts, gone)
    assert _every(left) == _every(parts) - _every([gone])
    assert all(part.first <= part.last for part in left)
    assert sum(len(part) for part in left) == len(_every(left))
