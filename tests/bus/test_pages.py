"""A host that holds more than fits into a message reads it in pages, and gets the same as in one."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.bus.messages import answer, ask, decode_reply, decode_request
from mooring.bus.pages import ENTRIES, PLACEMENTS, all_placements, digest_page, placements_page, whole_digest
from mooring.model.faults import Unavailable
from mooring.model.ids import NetworkId, NicId
from mooring.model.records import Page
from mooring.model.subjects import (
    Digest,
    DigestEntry,
    HostRole,
    NicAddress,
    NicIntent,
    Placement,
    SubjectKey,
    SubjectKind,
)

MESSAGE = 1 << 20
"""What a NATS server takes without being told."""


def key(number: int) -> SubjectKey:
    return SubjectKey(SubjectKind.NIC, f"00000000-0000-0000-0000-{number:012}")


class Desk:
    """The controller's side: what it holds, and how long its longest answer was."""

    def __init__(self, placements: Sequence[Placement], epochs: Sequence[int] = (1,)) -> None:
        self.placements = placements
        self.epochs = list(epochs)
        self.longest = 0
        self.asked = 0

    def _page(self, page: Page) -> list[Placement]:
        after = page.after
        found = [one for one in self.placements if after is None or (one.key, one.role) > after]
        return found[: page.most]

    def pull(self, keys: Sequence[SubjectKey] | None, page: Page) -> Sequence[Placement]:
        return [one for one in self._page(Page(page.after)) if keys is None or one.key in keys][: page.most]

    def digest(self, page: Page) -> Digest:
        entries = tuple(DigestEntry(one.key, one.role, one.generation, present=True) for one in self._page(page))
        return Digest(self.epochs.pop(0) if len(self.epochs) > 1 else self.epochs[0], entries)

    def call_pull(self, wish: Any) -> Any:
        return self._call(wish, lambda value: placements_page(value, self.pull))

    def call_digest(self, wish: Any) -> Any:
        return self._call(wish, lambda value: digest_page(value, self.digest))

    def _call(self, wish: Any, handle: Any) -> Any:
        self.asked += 1
        assert decode_request(ask(wish)).argument == wish
        reply = answer(lambda request: handle(request.argument), ask(wish))
        self.longest = max(self.longest, len(reply))
        return decode_reply(reply)


def nics(count: int, addresses: int = 1, roles: Sequence[HostRole] = (HostRole.COMPUTE,)) -> list[Placement]:
    held = tuple(NicAddress(IPv4Address(f"10.0.{n // 250}.{n % 250 + 2}")) for n in range(addresses))
    return [
        Placement(
            key(n),
            1,
            role,
            NicIntent(NicId(key(n).id), 1, NetworkId(key(0).id), None, "02:00:00:00:00:01", "guest", held),
        )
        for n in range(count)
        for role in roles
    ]


@pytest.mark.parametrize("count", [0, 1, PLACEMENTS - 1, PLACEMENTS, PLACEMENTS + 1, 2 * PLACEMENTS])
def test_all_that_is_not_confirmed_comes_whole(count: int) -> None:
    desk = Desk(nics(count))
    assert all_placements(None, desk.call_pull) == desk.placements


def test_a_subject_in_two_roles_may_be_cut_between_them() -> None:
    desk = Desk(nics(PLACEMENTS, roles=(HostRole.COMPUTE, HostRole.GATEWAY))[1:])
    assert all_placements(None, desk.call_pull) == desk.placements
    some = [key(n) for n in range(0, PLACEMENTS, 3)]
    assert all_placements(some, desk.call_pull) == [one for one in desk.placements if one.key in some]


def test_nics_of_257_addresses_each_do_not_burst_a_message() -> None:
    desk = Desk(nics(PLACEMENTS, addresses=257))
    assert all_placements([key(n) for n in range(PLACEMENTS)], desk.call_pull) == desk.placements
    assert desk.longest < MESSAGE


def test_a_digest_of_many_entries_does_not_burst_a_message() -> None:
    desk = Desk(nics(3 * ENTRIES))
    assert whole_digest(desk.call_digest) == desk.digest(Page())
    assert desk.longest < MESSAGE
    assert desk.asked == 4


def test_pages_of_two_epochs_are_no_digest() -> None:
    desk = Desk(nics(ENTRIES), epochs=(1, 2, 2))
    assert whole_digest(desk.call_digest) == Digest(2, desk.digest(Page()).entries)
    with pytest.raises(Unavailable):
        whole_digest(Desk(nics(ENTRIES), epochs=tuple(range(9))).call_digest)
