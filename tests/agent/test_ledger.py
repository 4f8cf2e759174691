"""The ledger's arithmetic: what changes costs what it has, what contradicts is refused, what is old is ignored."""

from dataclasses import replace

import pytest

from mooring.agent.ledger import Ledger, Part, WentBack
from mooring.compile.facts import Key, Place, PlaceKind
from mooring.model.subjects import Digest, DigestEntry, HostRole, NicIntent, Placement
from tests.agent.world import ROUTER, World


def _settled(world: World, nics: int) -> Ledger:
    ledger = Ledger()
    ledger.hold(world.base())
    for number in range(nics):
        ledger.hold(world.add(number))
    ledger.applied(ledger.delta())
    assert not ledger.delta()
    return ledger


def test_everything_is_pending_at_first_and_nothing_when_applied() -> None:
    world = World()
    ledger = Ledger()
    ledger.hold([*world.base(), *world.add(0)])
    delta = ledger.delta()
    assert dict(delta.put) == dict(world.compiled())
    assert not delta.drop
    ledger.applied(delta)
    assert not ledger.delta()
    assert not ledger.unsettled()


def test_a_change_is_as_large_with_many_nics_as_with_few() -> None:
    sizes = []
    for nics in (2, 40):
        world = World()
        ledger = _settled(world, nics)
        ledger.hold(world.move(0, 1))
        delta = ledger.delta()
        sizes.append((len(delta.put), len(delta.drop)))
    assert sizes[0] == sizes[1]


def test_a_move_drops_and_puts_in_one_delta() -> None:
    world = World()
    ledger = _settled(world, 2)
    ledger.hold(world.move(0, 0))
    ledger.applied(ledger.delta())
    ledger.hold(world.move(0, 1))
    delta = ledger.delta()
    moved = {key.table.name for key in delta.put} & {key.table.name for key in delta.drop}
    assert "fip_in" in moved
    assert not ledger.refused


def test_an_older_placement_is_ignored() -> None:
    world = World()
    ledger = _settled(world, 1)
    old = world.nic(0)
    ledger.hold(world.move(0, 0))
    ledger.applied(ledger.delta())
    assert not ledger.hold(old)
    assert not ledger.delta()


def test_a_contradiction_is_refused_whole_and_heals_when_the_other_gives_way() -> None:
    world = World()
    ledger = _settled(world, 2)
    ledger.hold(world.move(0, 0))
    ledger.applied(ledger.delta())
    thief = next(placed for placed in world.nic(1) if placed.role is HostRole.GATEWAY)
    assert isinstance(thief.subject, NicIntent)
    owner = next(placed for placed in world.nic(0) if placed.role is HostRole.GATEWAY)
    assert isinstance(owner.subject, NicIntent)
    stolen = replace(thief.subject.addresses[0], floating=owner.subject.addresses[0].floating)
    ledger.hold([Placement(thief.key, 99, thief.role, replace(thief.subject, addresses=(stolen,)))])
    part = Part(thief.key, thief.role)
    assert "contradicts" in ledger.refused[part]
    assert part in ledger.unsettled()
    ledger.hold([Placement(owner.key, 99, owner.role, None)])
    assert not ledger.refused
    assert {key.table.name for key in ledger.delta().put} >= {"fip_in"}


def test_facts_that_nobody_asked_for_are_strays() -> None:
    world = World()
    ledger = _settled(world, 1)
    state = dict(world.compiled())
    foreign = next(key for key in state if key.table.name == "fip_out")
    stray = replace(foreign, row=(foreign.row[0], "muffffffffff0"))
    state[stray] = state[foreign]
    ledger.observe(state)
    assert set(ledger.strays().drop) == {stray}
    assert set(ledger.delta().drop) == {stray}


def test_observing_one_place_leaves_the_others_alone() -> None:
    world = World()
    ledger = _settled(world, 1)
    place = Place(PlaceKind.ROUTER, ROUTER)
    ledger.observe({key: value for key, value in world.compiled().items() if key.place == place}, place)
    assert not ledger.delta()
    ledger.observe({}, place)
    assert {key.place for key in ledger.delta().put} == {place}


def test_what_the_digest_no_longer_lists_is_given_up() -> None:
    world = World()
    ledger = _settled(world, 2)
    entries = [
        DigestEntry(part.key, part.role, placed.generation, present=True)
        for part in ledger.parts()
        if (placed := ledger.placement(part)) is not None
    ]
    assert not ledger.missing(entries)
    gone = world.nic(1)[0].key
    ledger.forget_absent([entry for entry in entries if entry.key != gone])
    assert ledger.delta().drop
    assert not ledger.delta().put
    newer = [replace(entry, generation=entry.generation + 1) for entry in entries]
    assert gone in ledger.missing(newer)


def test_a_look_at_an_unchanged_host_hashes_no_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comparison of a host with 100,000 addresses would take seconds, and the interpreter's lock with it."""
    ledger = _settled(World(), 40)
    kernel = dict(ledger.desired())
    ledger.observe(kernel)
    hashed = 0
    real = Key.__hash__

    def counting(key: Key) -> int:
        nonlocal hashed
        hashed += 1
        return real(key)

    monkeypatch.setattr(Key, "__hash__", counting)
    ledger.observe(dict(kernel))
    assert not ledger.delta()
    assert hashed == 0
    del kernel[next(iter(kernel))]
    ledger.observe(kernel)
    assert len(ledger.delta().put) == 1


def _digest(ledger: Ledger, epoch: int = 3, older: int = 0) -> Digest:
    """Return a digest that lists what a ledger holds."""
    held = [(part, placed) for part in ledger.parts() if (placed := ledger.placement(part)) is not None]
    entries = (DigestEntry(part.key, part.role, placed.generation - older, present=True) for part, placed in held)
    return Digest(epoch, tuple(entries))


def test_a_database_that_went_back_is_not_believed() -> None:
    ledger = _settled(World(), 2)
    ledger.accept(_digest(ledger))
    lost = Digest(3, _digest(ledger).entries[1:])
    older = Digest(3, (replace(_digest(ledger).entries[0], generation=0), *lost.entries))
    for wrong in (lost, older, _digest(ledger, epoch=2)):
        with pytest.raises(WentBack):
            ledger.accept(wrong)
    ledger.accept(_digest(ledger))


def test_a_new_epoch_is_believed_whatever_it_lists() -> None:
    ledger = _settled(World(), 2)
    ledger.accept(_digest(ledger))
    for _ in range(2):
        # What it lists could not be pulled at once.
        ledger.accept(Digest(4, ()))
    ledger.forget_absent(())
    assert ledger.delta().drop
    assert not ledger.parts() or all(ledger.placement(part) is None for part in ledger.parts())


def test_a_new_epoch_may_number_a_subject_from_one_again() -> None:
    """It was made after the backup, published often, and made again after the renewal."""
    world = World()
    ledger = _settled(world, 2)
    ledger.accept(_digest(ledger))
    again = replace(_digest(ledger, epoch=4).entries[0], generation=1)
    assert ledger.missing([again]) == []
    ledger.accept(Digest(4, (again,)))
    assert ledger.missing([again]) == [again.key]
    (held,) = (placed for part in ledger.parts() if (placed := ledger.placement(part)) and placed.key == again.key)
    assert ledger.hold([replace(held, generation=1)])


def test_what_was_withdrawn_may_be_gone_from_the_digest() -> None:
    world = World()
    ledger = _settled(world, 2)
    ledger.accept(_digest(ledger))
    withdrawn = world.remove(1)
    ledger.hold(withdrawn)
    keys = {placed.key for placed in withdrawn}
    ledger.accept(Digest(3, tuple(entry for entry in _digest(ledger).entries if entry.key not in keys)))
