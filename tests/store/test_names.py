"""Domains and names of floating IPs, as both databases keep them; and that a guest's power is turned once."""

from datetime import datetime

import pytest

from mooring.model.ids import AddressId, ProjectId
from mooring.model.names import DnsDomain, DnsScope
from mooring.model.nouns import InstanceState, Power
from mooring.operations.interfaces import Referenced, Transaction
from tests.store.world import Town


def test_domains(town: Town) -> None:
    wide, narrow = DnsDomain("example.org", DnsScope.PUBLIC), DnsDomain("a.example.org", DnsScope.PRIVATE)
    with town.world.store.write() as tx:
        for domain in (wide, narrow):
            tx.names.put_domain(domain)
        assert tx.names.domains() == [narrow, wide]
        assert tx.names.zone_of(["x.a.example.org", "a.example.org", "example.org", "org"]) == narrow
        assert tx.names.zone_of(["b.example.org", "example.org", "org"]) == wide
        assert tx.names.zone_of(["org"]) is None
        mine = DnsDomain("example.org", DnsScope.PUBLIC, town.project.id)
        tx.names.put_domain(mine)
        assert tx.names.domain("example.org") == mine
        with pytest.raises(Referenced):
            tx.names.put_domain(DnsDomain("b.example", DnsScope.PUBLIC, ProjectId("nobody")))
        assert tx.names.delete_domain("example.org")
        assert not tx.names.delete_domain("example.org")
        assert tx.names.domain("example.org") is None


def test_names(town: Town) -> None:
    with town.world.store.write() as tx:
        tx.names.put_domain(DnsDomain("example.org", DnsScope.PUBLIC))
        first, second = town.floating(tx, "198.51.100.20"), town.floating(tx, "198.51.100.21")
        assert not tx.names.is_used("example.org")
        for name, row in (("b", first), ("a", first), ("b", second)):
            tx.names.put_entry("example.org", name, row.id)
        assert tx.names.is_used("example.org")
        (a, b) = tx.names.of_domain("example.org", town.project.id)
        assert [(each.name, each.address, each.floating) for each in (a, b)] == [
            ("a", first.address, first.id),
            ("b", second.address, second.id),
        ]
        assert tx.names.entry("example.org", "b") == b
        assert tx.names.of_address(first.id) == [a]
        assert tx.names.of_domain("example.org", ProjectId("other")) == []
        with pytest.raises(Referenced):
            tx.names.put_entry("example.org", "c", AddressId("nothing"))
        with pytest.raises(Referenced):
            tx.names.put_entry("example.com", "c", first.id)
        assert tx.names.delete_entry("example.org", "b")
        assert not tx.names.delete_entry("example.org", "b")
        # Whoever is being released is nobody's any more, and takes its names along at the latest when it goes.
        tx.addresses.release(first.id)
        assert tx.names.entry("example.org", "a") is None
        tx.names.forget(first.id)
        tx.names.put_entry("example.org", "a", second.id)
        tx.addresses.free(second.id)
        assert not tx.names.is_used("example.org")


def test_power_is_turned_once(town: Town) -> None:
    def seen(tx: Transaction) -> tuple[Power, datetime | None]:
        known = tx.instances.get(town.instance)
        assert known is not None
        return known.power, known.launched

    with town.world.store.write() as tx:
        assert not tx.instances.turn(town.instance, set(Power), Power.STOPPING)
        assert seen(tx) == (Power.RUNNING, None)
        tx.instances.move(town.instance, {InstanceState.BUILDING}, InstanceState.ACTIVE)
        assert tx.instances.turn(town.instance, {Power.RUNNING}, Power.STOPPING, boot=True)
        assert not tx.instances.turn(town.instance, {Power.RUNNING}, Power.STOPPING, boot=True)
        launched = town.world.watch.moment
        assert seen(tx) == (Power.STOPPING, launched)
        town.world.watch.tick(60)
        tx.instances.move(town.instance, {InstanceState.ACTIVE}, InstanceState.ERROR, "broken")
        tx.instances.move(town.instance, {InstanceState.ERROR}, InstanceState.ACTIVE)
        assert seen(tx) == (Power.STOPPING, launched)
