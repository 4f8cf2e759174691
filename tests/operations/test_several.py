"""Several instances by one call: all of them, or none."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from mooring.model.faults import Exhausted, Invalid, NotFound, QuotaExceeded
from mooring.model.nouns import InstanceState, Resource
from mooring.operations import NewInstance, NewNetwork, NewNic
from tests.cloud import FLAVORS, IMAGES, Cloud

THREE = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, count=3)


def test_they_are_numbered_and_launched(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    first = cloud.operations.instances.create(alice, THREE, "key")
    again = cloud.operations.instances.create(alice, THREE, "key")
    assert again.id == first.id
    made = cloud.operations.instances.listing(alice)
    assert sorted(each.name for each in made) == ["vm-1", "vm-2", "vm-3"]
    assert {each.state for each in made} == {InstanceState.ACTIVE}
    assert len({str(each.nics[0].fixed[0].address) for each in made}) == 3
    assert first.name == "vm-1"
    with pytest.raises(Invalid, match="different request"):
        cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, count=2), "key")


def test_all_or_none(cloud: Cloud) -> None:
    alice = cloud.caller("alice")

    def refused(fault: type[Exception], **changed: object) -> None:
        wanted: dict[str, object] = {"name": "vm", "image": IMAGES[0].id, "flavor": FLAVORS[0].id, "count": 3}
        with pytest.raises(fault):
            cloud.operations.instances.create(alice, NewInstance(**{**wanted, **changed}))  # type: ignore[arg-type]  # each test's own
        assert cloud.operations.instances.listing(alice) == ()
        with cloud.store.read() as tx:
            assert tx.quotas.get(alice.project.id, Resource.INSTANCES).used == 0

    refused(QuotaExceeded, count=11)
    refused(Invalid, count=0)
    refused(Invalid, count=101)
    refused(Invalid, name="n" * 254)
    refused(NotFound, nics=(NewNic("nowhere"),))
    refused(Invalid, nics=(NewNic(cloud.network.id, next(cloud.network.cidr.hosts())),))
    small = cloud.operations.networks.create(cloud.caller("root"), NewNetwork("small", IPv4Network("10.7.0.0/29")))
    refused(Exhausted, nics=(NewNic(small.id),), count=6)
    cloud.operations.instances.create(alice, replace(THREE, nics=(NewNic(small.id),), count=5))
    for each in cloud.operations.instances.listing(alice):
        assert each.state is InstanceState.ACTIVE
        cloud.operations.instances.delete(alice, each.id)
    assert (
        len(
            {
                cloud.operations.instances.create(alice, replace(THREE, nics=(NewNic(cloud.network.id),))).id
                for _ in range(3)
            }
        )
        == 3
    )
    assert len(cloud.operations.instances.listing(alice)) == 9
    with pytest.raises(QuotaExceeded):
        cloud.operations.instances.create(alice, replace(THREE, nics=(NewNic(cloud.network.id),)))
    assert len(cloud.operations.instances.listing(alice)) == 9
