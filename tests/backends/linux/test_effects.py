"""What follows from a change of elements, as values: no kernel is asked."""

from dataclasses import replace
from ipaddress import IPv4Address

from mooring.backends.linux.effects import Announcement, Cut, announced, cuts, in_two, outlast, withdrawn
from mooring.compile.facts import Delta, Span, diff
from mooring.compile.links import router_place
from mooring.compile.tables import PAIR, PF_PAIR, PF_PAIR_BLOCKS
from mooring.model.ids import uplink_name
from mooring.model.subjects import PortForwarding, Transport
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


RANGE = PortForwarding(FIRST, Transport.UDP, 8000, 8100, 8000)
FORWARDED = BARE.forwarding(RANGE, ALICE, ALICES)


def of_ports(first: int, last: int) -> Cut:
    return Cut(original_target=FIRST.address, reply_source=ALICES, protocol=17, ports=Span(first, last))


def test_a_forwarding_that_goes_ends_the_flows_of_its_ports_in_one_cut() -> None:
    delta = change(FORWARDED, BARE)
    assert (list(announced(delta)), list(withdrawn(delta))) == ([], [IT])
    assert cuts(delta) == (of_ports(8000, 8100),)


def test_ports_that_lead_on_as_they_did_keep_their_flows() -> None:
    """However the range is cut into blocks before and after."""
    shorter = BARE.forwarding(replace(RANGE, first=8003, last=8050, to=8003), ALICE, ALICES)
    assert cuts(change(FORWARDED, shorter)) == (of_ports(8000, 8002), of_ports(8051, 8100))
    assert cuts(change(shorter, FORWARDED)) == ()


def test_ports_that_lead_to_others_end_their_flows() -> None:
    assert cuts(change(FORWARDED, BARE.forwarding(replace(RANGE, to=9000), ALICE, ALICES))) == (of_ports(8000, 8100),)


def test_what_lets_flows_of_moving_ports_pass_goes_after_them() -> None:
    delta = change(FORWARDED, FORWARDED.forwarding(RANGE, BOB, BOBS))
    first, second = in_two(delta)
    assert {key.table for key in second.drop} == {PF_PAIR, PF_PAIR_BLOCKS[0]}
    assert all(ALICES in key.row for key in second.drop)
    assert {**first.drop, **second.drop} == delta.drop
    assert cuts(delta) == (of_ports(8000, 8100),)


def test_what_ended_and_is_back_is_not_looked_for_again() -> None:
    gone = change(FORWARDED, BARE)
    kept = Cut(original_target=FIRST.address, reply_source=ALICES, protocol=6, ports=Span(8000, 8100))
    ended = {*cuts(gone), kept}
    assert outlast(ended, gone) == ended
    one = BARE.forwarding(replace(RANGE, first=8050, last=8050, to=9), BOB, BOBS)
    assert outlast(ended, change(BARE, one)) == {kept}
