"""Another project's things, named in the body of a request: answered like things that don't exist, word by word, and nothing changes."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import httpx2
import pytest

from mooring.dialects import neutron
from mooring.dialects.openstack import create_app
from mooring.model.names import DnsScope
from mooring.model.nouns import AddressRange
from mooring.operations import NewSubnet, NewSubnetPool, PoolChange
from tests.cloud import FLAVORS, IMAGES, POOL_RANGE, Cloud
from tests.dialects.conftest import Stage
from tests.dialects.openstack.conftest import PUBLIC_URL, Client

RANDOM = "deadbeef-0000-4000-8000-000000000000"
HIDDEN = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19"))
N = "/network/v2.0"
# Of each kind of thing, one that there isn't.
NONE = {
    **dict.fromkeys(("group", "network", "bare", "subnetpool", "pool", "port"), RANDOM),
    "address": str(POOL_RANGE.last),
    "fixed": "10.0.0.200",
}


@pytest.fixture
def http(cloud: Cloud, stage: tuple[Stage, str]) -> Iterator[httpx2.Client]:
    stage[0].app = create_app(cloud.operations, public_url=PUBLIC_URL, services=[neutron.SERVICE])
    with httpx2.Client(base_url=stage[1], timeout=30) as client:
        yield client


@dataclass(frozen=True)
class Things:
    """What somebody has."""

    server: str
    port: str
    fixed: str
    address: str
    idle: str
    group: str
    network: str
    bare: str
    router: str
    subnetpool: str
    pool: str


def _things(cloud: Cloud, user: str) -> Things:
    caller, do = cloud.caller(user), cloud.operations
    server = cloud.boot(caller, f"{user}-server")
    floating = do.addresses.allocate(caller, "public")
    do.addresses.associate(caller, server.id, floating.address)
    network = do.own_networks.create(caller, f"{user}-net").id
    do.own_networks.add_subnet(caller, NewSubnet(network, cidr=IPv4Network("10.7.0.0/24")))
    return Things(
        server=server.id,
        port=server.nics[0].id,
        fixed=str(server.nics[0].fixed[0].address),
        address=str(floating.address),
        idle=do.addresses.allocate(caller, "public").id,
        group=do.groups.create(caller, f"{user}-group").id,
        network=network,
        bare=do.own_networks.create(caller, f"{user}-bare").id,
        router=do.own_routers.create(caller, f"{user}-router", None).id,
        subnetpool=do.subnet_pools.create(
            caller, NewSubnetPool(f"{user}-prefixes", (IPv4Network("10.9.0.0/16"),), default_length=24)
        ).id,
        pool=next((pool.id for pool in do.pools.listing(caller) if pool.name == "hidden"), ""),
    )


def _asked(own: Things, kind: str, id: str) -> list[tuple[str, str, Any]]:
    """Return what the owner of some things asks with the id, or address, of one that isn't."""
    server = {"name": "vm", "imageRef": IMAGES[0].id, "flavorRef": FLAVORS[0].id}
    action = f"/servers/{own.server}/action"
    rule: dict[str, Any] = {"parent_group_id": own.group, "ip_protocol": "tcp", "from_port": 1, "to_port": 2}
    ingress = {"direction": "ingress", "security_group_id": own.group}
    door = {"protocol": "tcp", "external_port": 80, "internal_port": 80, "internal_port_id": id}
    subnet = {"network_id": own.bare, "ip_version": 4}
    every: dict[str, list[tuple[str, str, Any]]] = {
        "group": [
            ("POST", "/os-security-group-rules", {"security_group_rule": {**rule, "parent_group_id": id}}),
            ("POST", "/os-security-group-rules", {"security_group_rule": {**rule, "group_id": id}}),
            ("POST", "/servers", {"server": {**server, "security_groups": [{"name": id}]}}),
            ("POST", action, {"addSecurityGroup": {"name": id}}),
            ("POST", action, {"removeSecurityGroup": {"name": id}}),
            ("POST", f"{N}/security-group-rules", {"security_group_rule": {**ingress, "security_group_id": id}}),
            ("POST", f"{N}/security-group-rules", {"security_group_rule": {**ingress, "remote_group_id": id}}),
            ("PUT", f"{N}/ports/{own.port}", {"port": {"security_groups": [id]}}),
        ],
        "network": [
            ("POST", "/servers", {"server": {**server, "networks": [{"uuid": id}]}}),
            ("POST", action, {"addFixedIp": {"networkId": id}}),
            ("POST", f"/servers/{own.server}/os-interface", {"interfaceAttachment": {"net_id": id}}),
            ("PUT", f"{N}/routers/{own.router}/add_router_interface", {"subnet_id": id}),
            ("PUT", f"{N}/routers/{own.router}/remove_router_interface", {"subnet_id": id}),
            ("PUT", f"{N}/ports/{own.port}", {"port": {"fixed_ips": [{"subnet_id": id}]}}),
        ],
        "bare": [("POST", f"{N}/subnets", {"subnet": {**subnet, "network_id": id, "cidr": "10.8.0.0/24"}})],
        "subnetpool": [("POST", f"{N}/subnets", {"subnet": {**subnet, "subnetpool_id": id}})],
        "pool": [
            ("POST", "/os-floating-ips", {"pool": id}),
            ("POST", f"{N}/floatingips", {"floatingip": {"floating_network_id": id}}),
            ("POST", f"{N}/routers", {"router": {"name": "r", "external_gateway_info": {"network_id": id}}}),
        ],
        "port": [
            ("PUT", f"{N}/floatingips/{own.idle}", {"floatingip": {"port_id": id}}),
            ("POST", f"{N}/floatingips/{own.idle}/port_forwardings", {"port_forwarding": door}),
            ("PUT", f"{N}/routers/{own.router}/remove_router_interface", {"port_id": id}),
        ],
        "address": [
            ("POST", action, {"addFloatingIp": {"address": id}}),
            ("POST", action, {"removeFloatingIp": {"address": id}}),
            ("PUT", "/os-floating-ip-dns/boats.example/entries/ferry", {"dns_entry": {"ip": id, "dns_type": "A"}}),
        ],
        "fixed": [
            ("POST", f"/os-floating-ips/{own.idle}/addFloatingIp", {"associate_address": {"fixed_ip": id}}),
            ("POST", action, {"addFloatingIp": {"address": own.address, "fixed_address": id}}),
            ("POST", action, {"removeFixedIp": {"address": id}}),
        ],
    }
    return every[kind]


def test_anothers_is_like_none(cloud: Cloud, as_user: Callable[[str], Client]) -> None:
    root = cloud.caller("root")
    cloud.operations.names.save_domain(root, "boats.example", DnsScope.PUBLIC, None)
    cloud.add_pool("hidden", HIDDEN, 1)
    cloud.operations.pools.update(root, "hidden", PoolChange(public=False))
    cloud.operations.grants.grant(root, "hidden", "boats")
    alices, bobs = _things(cloud, "alice"), _things(cloud, "bob")
    bob, before, asked = as_user("bob"), _state(cloud), 0
    for kind, none in NONE.items():
        foreign = getattr(alices, kind)
        for theirs, made_up in zip(_asked(bobs, kind, foreign), _asked(bobs, kind, none), strict=True):
            one, other = (
                bob.http.request(method, _url(path), json=body, headers=bob.headers)
                for method, path, body in (theirs, made_up)
            )
            assert one.status_code == other.status_code, f"{theirs}: {one.text}, and {other.text}"
            assert one.status_code in {400, 404}, f"{theirs}: {one.text}"
            assert one.text.replace(foreign, none) == other.text
            asked += 1
    assert _state(cloud) == before
    assert asked == 28


def _url(path: str) -> str:
    return path if path.startswith("/network") else f"/compute/v2.1{path}"


def _state(cloud: Cloud) -> Sequence[str]:
    with sqlite3.connect(cloud.database) as connection:
        return [line for line in connection.iterdump() if 'INTO "tokens"' not in line]
