"""A database that was put back to an older state, and an operator who says so: everything is newer than it ever was, and nobody has it."""

import pytest

from mooring.model.records import Duplicate
from mooring.model.subjects import DigestEntry, HostRole, Report, SubjectKey, SubjectKind

COMPUTE = HostRole.COMPUTE


def test_there_is_none_until_one_is_begun(town):
    with town.world.store.write() as tx:
        assert tx.deliveries.epoch() == 0
        tx.deliveries.renew(5)
        tx.deliveries.renew(7)
        assert tx.deliveries.epoch() == 7
        with pytest.raises(Duplicate):
            tx.deliveries.renew(7)


def test_everything_gets_a_generation_that_nobody_has_confirmed(town):
    host, present, going = town.host.id, town.network_key, town.nic_key
    with town.world.store.write() as tx:
        for key in (present, going):
            tx.deliveries.place(key, host, COMPUTE)
            tx.deliveries.confirm(host, Report(key, COMPUTE, tx.deliveries.publish(key)[0]))
        tx.deliveries.withdraw(going)
        tx.deliveries.confirm(host, Report(present, COMPUTE, 2, None))
        tx.deliveries.confirm(host, Report(going, COMPUTE, 3, "trouble"))
        before = {entry.key: entry for entry in tx.deliveries.digest(host)}
        tx.deliveries.renew(5)
        after = {entry.key: entry for entry in tx.deliveries.digest(host)}
        assert {key: entry.present for key, entry in after.items()} == {present: True, going: False}
        assert all(entry.generation >= 5 << 20 > before[key].generation for key, entry in after.items())
        assert tx.deliveries.errors() == []
        assert len(tx.deliveries.pending(host, None)) == 2
        # Late words of before say nothing.
        for key in (present, going):
            tx.deliveries.confirm(host, Report(key, COMPUTE, before[key].generation))
        assert {entry.key for entry in tx.deliveries.digest(host)} == {present, going}
        for entry in after.values():
            assert tx.deliveries.confirm(host, Report(entry.key, COMPUTE, entry.generation))
        assert tx.deliveries.behind() == []
        assert tx.deliveries.digest(host) == [after[present]]
        # Whoever gets the subject later gets a generation that was never told of its withdrawal.
        tx.deliveries.place(going, host, COMPUTE)
        (entry,) = (entry for entry in tx.deliveries.digest(host) if entry.key == going)
        assert entry.generation > after[going].generation


def test_a_second_epoch_is_newer_than_whatever_was_published_in_the_first(town):
    host, key = town.host.id, town.network_key
    with town.world.store.write() as tx:
        tx.deliveries.place(key, host, COMPUTE)
        tx.deliveries.renew(5)
        newest = max(tx.deliveries.publish(key)[0] for _ in range(9))
        tx.deliveries.renew(6)
        (entry,) = tx.deliveries.digest(host)
        assert entry.generation > newest
        # Even if its number says otherwise: generations never fall.
        tx.deliveries.renew(1)
        assert tx.deliveries.digest(host)[0].generation > entry.generation
        assert tx.deliveries.epoch() == 6


def test_what_is_made_later_begins_as_ever(town):
    with town.world.store.write() as tx:
        tx.deliveries.renew(5)
        key = SubjectKey(SubjectKind.NETWORK, town.network.id)
        tx.deliveries.place(key, town.host.id, COMPUTE)
        assert tx.deliveries.digest(town.host.id) == [DigestEntry(key, COMPUTE, 1, present=True)]
