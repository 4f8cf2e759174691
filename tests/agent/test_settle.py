"""One poison subject stands alone: everybody else's changes are made."""

from mooring.agent.ledger import Ledger, Part
from mooring.agent.settle import settle
from mooring.backends.fake import FakeBackend
from mooring.compile.facts import Delta, HostState, Place, Refused
from mooring.compile.tables import FIP_IN
from mooring.model.subjects import HostRole
from tests.agent.world import World, public


class _Allergic(FakeBackend):
    """A kernel that refuses everything which has to do with one public address."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: object = None

    def apply(self, delta: Delta) -> None:
        if any(self.poison in key.row for key in delta.put):
            raise Refused(f"{self.poison} is not to my taste")
        super().apply(delta)

    def read(self, place: Place | None = None) -> HostState:
        return super().read(place)


def test_a_poison_subject_is_quarantined_and_the_rest_applied() -> None:
    world, ledger, backend = World(), Ledger(), _Allergic()
    backend.poison = public(0).address
    ledger.hold(world.base())
    for number in range(4):
        ledger.hold(world.add(number))
    ledger.hold([*world.move(0, 1), *world.move(1, 2)])
    settle(ledger, backend)
    poisoned = Part(world.nic(1)[0].key, HostRole.GATEWAY)
    assert set(ledger.refused) == {poisoned}
    assert "not to my taste" in ledger.refused[poisoned]
    translated = {key.row[0] for key in backend.read() if key.table is FIP_IN}
    assert translated == {public(1).address}
    # The others' changes go on as if nothing were wrong.
    ledger.hold(world.move(2, 3))
    settle(ledger, backend)
    assert {key.row[0] for key in backend.read() if key.table is FIP_IN} == {public(1).address, public(2).address}


def test_a_quarantined_subject_comes_back_when_it_changes() -> None:
    world, ledger, backend = World(), Ledger(), _Allergic()
    backend.poison = public(0).address
    ledger.hold([*world.base(), *world.add(0)])
    ledger.hold(world.move(0, 0))
    settle(ledger, backend)
    assert ledger.refused
    ledger.hold(world.move(0, None))
    settle(ledger, backend)
    assert not ledger.refused
    assert backend.read() == world.compiled()


def test_a_torn_change_is_read_back_and_finished() -> None:
    world, ledger, backend = World(), Ledger(), FakeBackend()
    ledger.hold([*world.base(), *world.add(0)])
    backend.tear(7)
    settle(ledger, backend)
    assert not ledger.refused
    assert backend.read() == world.compiled()
