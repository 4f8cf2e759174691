"""Facts that several subjects state alike: they hold as long as one of them does, and no other's refusal takes them away."""

from dataclasses import replace

from mooring.agent.ledger import Ledger, Part
from mooring.agent.settle import settle
from mooring.backends.fake import FakeBackend
from mooring.compile.facts import HOST, Delta, Key
from mooring.compile.host import facts_of
from mooring.compile.tables import MEMBERS4, OUT4, RULESET
from mooring.model.ids import NicId
from mooring.model.subjects import GroupIntent, HostRole, NicIntent, Placement, Subject
from tests.compile.walled import OWN, WEB, walled
from tests.strategies import uuid

RULES = Key(RULESET, HOST, ("host",))
CLOUD = walled(OWN, WEB, members=((2,), (2,), (3,), ()))
ALICE, BOB = CLOUD.nics[:2]
TWIN = replace(ALICE, id=NicId(uuid("d", 77)))
"""Has Alice's address, on another network of the same project."""
MEMBER = Key(MEMBERS4, HOST, (2, ALICE.addresses[0].address))


def placed(subject: Subject, role: HostRole = HostRole.MEMBER, generation: int = 1, *, gone: bool = False) -> Placement:
    return Placement(subject.key, generation, role, None if gone else subject)


def part(subject: NicIntent | GroupIntent, role: HostRole = HostRole.MEMBER) -> Part:
    return Part(subject.key, role)


def test_what_two_say_alike_is_no_contradiction_and_stays_until_both_are_gone() -> None:
    ledger = Ledger()
    ledger.hold([placed(ALICE), placed(TWIN)])
    assert not ledger.refused
    assert MEMBER in ledger.delta().put
    ledger.applied(ledger.delta())
    ledger.hold([placed(ALICE, generation=2, gone=True)])
    assert MEMBER not in ledger.delta().drop
    assert MEMBER in ledger.desired()
    ledger.applied(ledger.delta())
    ledger.hold([placed(TWIN, generation=2, gone=True)])
    assert {MEMBER, RULES} <= ledger.delta().drop.keys()
    ledger.applied(ledger.delta())
    assert not ledger.unsettled()


def test_all_who_say_it_wait_for_it() -> None:
    ledger = Ledger()
    ledger.hold([placed(ALICE), placed(TWIN), placed(OWN, HostRole.COMPUTE)])
    assert ledger.unsettled() == {part(ALICE), part(TWIN), part(OWN, HostRole.COMPUTE)}
    assert MEMBER in ledger.delta_of(part(TWIN)).put
    assert MEMBER in ledger.delta_of(part(ALICE)).put


def test_the_refusal_of_one_takes_nothing_from_the_other() -> None:
    ledger = Ledger()
    ledger.hold([placed(ALICE), placed(TWIN)])
    assert MEMBER in ledger.delta(without={part(ALICE)}).put
    assert MEMBER in ledger.delta(without={part(TWIN)}).put
    assert MEMBER not in ledger.delta(without={part(ALICE), part(TWIN)}).put


def test_the_poison_of_one_group_stands_alone() -> None:
    """One project's rule that the host won't have, and what everybody's rest on is there all the same."""
    ledger, poison = Ledger(), replace(OWN, number=9)
    refusing = Refusing(next(fact.key for fact in facts_of(poison, HostRole.COMPUTE) if fact.key.table == OUT4))
    ledger.hold([placed(poison, HostRole.COMPUTE), placed(WEB, HostRole.COMPUTE), placed(ALICE), placed(BOB)])
    settle(ledger, refusing)
    assert set(ledger.refused) == {part(poison, HostRole.COMPUTE)}
    assert {RULES, MEMBER} <= refusing.state.keys()
    assert ledger.unsettled() == {part(poison, HostRole.COMPUTE)}


class Refusing(FakeBackend):
    """Refuses each change that has one fact in it."""

    def __init__(self, bad: Key) -> None:
        super().__init__()
        self._bad = bad

    def apply(self, delta: Delta) -> None:
        if self._bad in delta.put:
            self.refuse(reason="not this one")
        super().apply(delta)
