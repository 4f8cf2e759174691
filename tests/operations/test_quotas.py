"""Quotas as administrators set them: several at once, by whichever name the project has, and not by others."""

from dataclasses import replace

import pytest

from mooring.model.faults import Forbidden, Invalid, NotFound, QuotaExceeded
from mooring.model.nouns import Resource
from tests.cloud import Cloud


def _limits(cloud: Cloud) -> dict[Resource, int]:
    alice = cloud.caller("alice")
    return {each.resource: each.limit for each in cloud.operations.identity.quotas(alice, alice.project.id)}


def test_limits_hold_as_they_were_set(cloud: Cloud) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    wanted = {Resource.FLOATING_IPS: 1, Resource.INSTANCES: -1}
    changed = cloud.operations.quotas.change(root, "boats", wanted)
    assert {each.resource: each.limit for each in changed} == _limits(cloud) == {**_limits(cloud), **wanted}
    cloud.operations.addresses.allocate(alice, "public")
    with pytest.raises(QuotaExceeded):
        cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.quotas.reset(root, alice.project.id)
    assert _limits(cloud) == cloud.operations.quotas.defaults(alice)
    cloud.operations.addresses.allocate(alice, "public")


def test_below_what_is_in_use_only_by_force(cloud: Cloud) -> None:
    root = cloud.caller("root")
    cloud.operations.addresses.allocate(cloud.caller("alice"), "public")
    before = _limits(cloud)
    with pytest.raises(Invalid, match="floating_ips: 0 is less than the 1 in use"):
        cloud.operations.quotas.change(root, "boats", {Resource.INSTANCES: 3, Resource.FLOATING_IPS: 0})
    assert _limits(cloud) == before
    cloud.operations.quotas.change(root, "boats", {Resource.FLOATING_IPS: 0}, force=True)
    assert _limits(cloud) == {**before, Resource.FLOATING_IPS: 0}


@pytest.mark.parametrize("limit", [-2, 2**31])
def test_what_is_no_limit(cloud: Cloud, limit: int) -> None:
    before = _limits(cloud)
    with pytest.raises(Invalid, match="instances: must be from -1"):
        cloud.operations.quotas.change(cloud.caller("root"), "boats", {Resource.INSTANCES: limit}, force=True)
    assert _limits(cloud) == before


def test_only_an_administrator_sets_them(cloud: Cloud) -> None:
    before = _limits(cloud)
    for user in ("alice", "rita", "bob"):
        with pytest.raises(Forbidden):
            cloud.operations.quotas.change(cloud.caller(user), "boats", {Resource.INSTANCES: 99})
        with pytest.raises(Forbidden):
            cloud.operations.quotas.reset(cloud.caller(user), "boats")
    with pytest.raises(NotFound):
        cloud.operations.quotas.change(cloud.caller("root"), "nobodys", {Resource.INSTANCES: 99})
    nobody = replace(cloud.caller("alice"), roles=frozenset())
    with pytest.raises(Forbidden):
        cloud.operations.quotas.defaults(nobody)
    assert _limits(cloud) == before
