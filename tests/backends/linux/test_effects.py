"""What follows from a change of elements, as values: no kernel is asked."""

from dataclasses import replace
from ipaddress import IPv4Address

from mooring.backends.linux.effects import Announcement, Cut, announced, cuts, in_two, withdrawn
from mooring.compile.facts import Delta, diff
from mooring.compile.links import router_place
from mooring.compile.tables import PAIR
from mooring.model.ids import uplink_name
from tests.compile.small import ALICE, BOB, FIRST, ROUTER, shared, small
from tests.strategies import Cloud

ALICES, BOBS = IPv4Address("10.0.1.3"), IPv4Address("10.0.1.4")
BARE = small().without(FIRST)
WITH_ALICE = BARE.associated(FIRST, ALICE, ALICES)
WITH_BOB = BARE.associated(FIRST, BOB, BOBS)

IT = Announcement(router_place(ROUTER), uplink_name(FIRST.uplink), FIRST.address)
ALICES_FLOWS = {
    Cut(original_target=FIRST.address, reply_source=ALICES),
    Cut(original_source=ALICES, reply_target=FIRST.address),
}


def change(before: Cloud, after: Cloud) -> Delta:
    return diff(before.state, after.state)


def test_an_address_that_comes_is_announced() -> None:
    delta = change(BARE, WITH_ALICE)
    assert (list(announced(delta)), list(withdrawn(delta))) == ([IT], [])
    assert cuts(delta) == ()


def test_an_address_that_goes_ends_its_flows_and_no_others() -> None:
    delta = change(WITH_ALICE, BARE)
    assert (list(announced(delta)), list(withdrawn(delta))) == ([], [IT])
    assert set(cuts(delta)) == ALICES_FLOWS


def test_an_address_that_moves_stays_where_it_is_for_neighbours() -> None:
    delta = change(WITH_ALICE, WITH_BOB)
    assert (list(announced(delta)), list(withdrawn(delta))) == ([], [])
    assert set(cuts(delta)) == ALICES_FLOWS


def test_the_old_pair_of_a_move_goes_after_its_flows() -> None:
    delta = change(WITH_ALICE, WITH_BOB)
    first, second = in_two(delta)
    assert [(key.table, key.row) for key in second.drop] == [(PAIR, (FIRST.address, ALICES))]
    assert {**first.drop, **second.drop} == delta.drop
    assert (first.put, second.put) == (delta.put, {})


def test_other_changes_are_one_transaction() -> None:
    for before, after in ((BARE, WITH_ALICE), (WITH_ALICE, BARE), (BARE, BARE)):
        delta = change(before, after)
        assert in_two(delta) == (delta, Delta({}, {}))


def test_a_guest_that_goes_loses_all_its_flows_and_the_router_keeps_others() -> None:
    without = replace(WITH_ALICE, nics=tuple(nic for nic in WITH_ALICE.nics if nic.id != ALICE))
    assert set(cuts(change(WITH_ALICE, without))) == ALICES_FLOWS | {
        Cut(original_target=shared().address, reply_source=ALICES),
        Cut(original_source=ALICES, reply_target=shared().address),
        Cut(original_source=ALICES),
        Cut(reply_source=ALICES),
    }
