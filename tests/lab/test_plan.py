"""Plans: names and addresses never collide, and a plan that can't be says why."""

from itertools import combinations

import pytest

from mooring.lab.plan import Plan, flat_gateway, flat_network


@pytest.mark.parametrize("hosts, gateways, uplinks", [(1, 1, 1), (4, 2, 2), (32, 32, 4)])
def test_names_and_addresses_are_each_once(hosts, gateways, uplinks):
    plan = Plan(hosts, gateways, uplinks)
    addresses = [plan.control, *(host.address for host in plan.machines)]
    addresses += [provider.gateway for provider in plan.providers] + [provider.far for provider in plan.providers]
    addresses += [provider.outside_address for provider in plan.providers]
    assert len({address.ip for address in addresses}) == len(addresses)
    networks = {address.network for address in addresses} | {flat_network(cluster) for cluster in plan.clusters}
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))
    assert all(flat_gateway(cluster) in flat_network(cluster) for cluster in plan.clusters)
    assert len({provider.interface for provider in plan.providers}) == uplinks
    assert sum(host.gateway for host in plan.machines) == gateways


def test_each_cluster_has_half_of_the_hosts():
    assert [host.cluster for host in Plan(4).machines] == ["east", "east", "west", "west"]
    assert Plan(1, 1).clusters == ["east"]


@pytest.mark.parametrize(
    "wrong, why",
    [
        ({"hosts": 0}, "1 to 32 hosts, not 0"),
        ({"hosts": 33}, "1 to 32 hosts, not 33"),
        ({"hosts": 2, "gateways": 3}, "1 to 2 can be gateways, not 3"),
        ({"gateways": 0}, "1 to 4 can be gateways, not 0"),
        ({"uplinks": 5}, "1 to 4 uplinks, not 5"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        Plan(**wrong)
