"""first_gap and count against the plainest code that could be right."""

from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.model.ids import AddressId
from mooring.model.nouns import AddressKind
from mooring.model.records import AddressRow
from mooring.store.schema import BLOCK

BASE = int(IPv4Address("10.0.0.0"))
SPACE = 4 * BLOCK

offsets = st.integers(0, SPACE - 1)
runs = st.tuples(offsets, offsets).map(lambda pair: range(min(pair), max(pair) + 1))


def at(offset: int) -> IPv4Address:
    return IPv4Address(BASE + offset)


def naive_gap(used: set[int], first: int, last: int) -> int | None:
    return next((offset for offset in range(first, last + 1) if offset not in used), None)


def take(tx, pool, scope: str, address: IPv4Address) -> AddressId:
    row = AddressRow(AddressId(f"{scope}/{address}"), scope, address, AddressKind.ROUTER, pool=pool.id)
    assert tx.addresses.take(row)
    return row.id


@given(data=st.data())
@settings(max_examples=40)
def test_the_lowest_free_address_of_any_range_is_found(data, crowd):
    taken = data.draw(st.lists(runs, max_size=4), label="taken")
    freed = data.draw(
        st.lists(st.one_of(runs, offsets.map(lambda one: range(one, one + 1))), max_size=3), label="freed"
    )
    queries = data.draw(st.lists(runs, min_size=1, max_size=10), label="queries")
    used = set().union(*taken)
    scope = crowd.id()
    with crowd.store.write() as tx:
        pool = crowd.pool(tx, crowd.uplink(tx))
        ids = {offset: take(tx, pool, scope, at(offset)) for offset in sorted(used)}
        for offset in sorted(set().union(*freed) & used):
            tx.addresses.free(ids[offset])
        used -= set().union(*freed)
        for query in [*queries, range(SPACE), range(BLOCK), range(BLOCK - 1, 2 * BLOCK + 1)]:
            first, last = query[0], query[-1]
            gap = tx.addresses.first_gap(scope, at(first), at(last))
            wanted = naive_gap(used, first, last)
            assert gap == (at(wanted) if wanted is not None else None)
            assert tx.addresses.count(scope, at(first), at(last)) == len(used.intersection(query))


def test_an_empty_range_has_no_gap(town):
    with town.world.store.read() as tx:
        assert tx.addresses.first_gap("public", at(5), at(4)) is None
        assert tx.addresses.count("public", at(5), at(4)) == 0


def test_scopes_do_not_see_each_other(town):
    with town.world.store.read() as tx:
        first, last = IPv4Address("10.0.0.2"), IPv4Address("10.0.0.9")
        assert tx.addresses.first_gap(town.network.id, first, last) == IPv4Address("10.0.0.3")
        assert tx.addresses.first_gap("public", first, last) == first
        assert tx.addresses.count("public", first, last) == 0


def test_the_ends_of_the_address_space(town):
    lowest, highest = IPv4Address(0), IPv4Address(2**32 - 1)
    with town.world.store.write() as tx:
        for address in (lowest, highest):
            take(tx, town.pool, "all", address)
        assert tx.addresses.first_gap("all", lowest, highest) == IPv4Address(1)
        assert tx.addresses.first_gap("all", highest, highest) is None
        assert tx.addresses.count("all", lowest, highest) == 2
