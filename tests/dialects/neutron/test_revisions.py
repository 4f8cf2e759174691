"""What every resource says of its changes: whatever is done, and by whatever way, nothing that is shown changes without a new revision."""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.marks import MOST_TAGS
from mooring.model.nouns import AddressRange
from mooring.operations import NewForwarding, NewInstance, NewNic, PoolChange
from mooring.policy.rules import NewRule
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.dialects.neutron.conftest import Client

LISTS = {
    "networks": "networks",
    "subnets": "subnets",
    "ports": "ports",
    "routers": "routers",
    "floatingips": "floatingips",
    "security-groups": "security_groups",
    "security-group-rules": "security_group_rules",
    "subnetpools": "subnetpools",
}
MARKS = ("revision_number", "created_at", "updated_at")


def shown(client: Client) -> dict[tuple[str, str], dict[str, Any]]:
    """Return everything that a client sees, by its kind and id."""
    return {(plural, view["id"]): view for plural, key in LISTS.items() for view in client.get(f"/{plural}")[key]}


class Voyage:
    """A cloud in which things are done, one after another, a minute apart; and what alice sees of it."""

    def __init__(self, cloud: Cloud, alice: Client) -> None:
        self.cloud = cloud
        self.client = alice
        self.caller: Caller = cloud.caller("alice")
        self.root: Caller = cloud.caller("root")
        self.ids: dict[str, Any] = {}
        self.seen = shown(alice)
        self.changed: set[str] = set()

    def look(self, step: str) -> set[str]:
        """Hold what is seen now against what was seen before; return the kinds of what changed."""
        now, found = shown(self.client), set[str]()
        for key, view in now.items():
            before = self.seen.get(key)
            if before is None:
                assert view["created_at"] <= view["updated_at"], (step, view)
                continue
            grown = view["revision_number"] - before["revision_number"]
            assert grown >= 0, (step, before, view)
            assert view["created_at"] == before["created_at"], (step, before, view)
            assert (view["updated_at"] > before["updated_at"]) == (grown > 0), (step, before, view)
            if {**view, **dict.fromkeys(MARKS)} != {**before, **dict.fromkeys(MARKS)}:
                assert grown > 0, (step, before, view)
                found.add(key[0])
        self.seen = now
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


def boot(v: Voyage) -> None:
    server = v.cloud.boot(v.caller, "first")
    v.ids |= {"server": server.id, "port": server.nics[0].id}


def own_network(v: Voyage) -> None:
    v.ids["own"] = v.ask("POST", "/networks", {"network": {"name": "web"}})["network"]["id"]


def own_subnet(v: Voyage) -> None:
    v.ask("POST", "/subnets", {"subnet": {"network_id": v.ids["own"], "ip_version": 4, "cidr": "10.8.0.0/24"}})


def own_router(v: Voyage) -> None:
    v.ids["router"] = v.ask("POST", "/routers", {"router": {"name": "own"}})["router"]["id"]


def allocate(v: Voyage) -> None:
    v.ids["floating"] = v.cloud.operations.addresses.allocate(v.caller, "public")


def forward(v: Voyage) -> None:
    new = NewForwarding("tcp", 80, nic=v.ids["port"])
    v.ids["forwarding"] = v.cloud.operations.forwardings.create(v.caller, v.ids["floating"].id, new)


def group(v: Voyage) -> None:
    v.ids["group"] = v.cloud.operations.groups.create(v.caller, "web").id


def rule(v: Voyage) -> None:
    v.ids["rule"] = v.cloud.operations.groups.add_rule(
        v.caller, v.ids["group"], NewRule(protocol="tcp", first=80, last=80)
    ).id


def subnet_pool(v: Voyage) -> None:
    pool = {"name": "ours", "prefixes": ["10.9.0.0/16"]}
    v.ids["subnet_pool"] = v.ask("POST", "/subnetpools", {"subnetpool": pool})["subnetpool"]["id"]


def more_of_the_pool(v: Voyage) -> None:
    part = AddressRange(IPv4Address("198.51.100.100"), IPv4Address("198.51.100.101"))
    v.cloud.operations.ranges.add(v.root, part, "public")


def gateway(v: Voyage) -> None:
    pool = v.ids["floating"].pool
    v.ask("PUT", f"/routers/{v.ids['router']}", {"router": {"external_gateway_info": {"network_id": pool}}})


def second(v: Voyage) -> None:
    new = NewInstance("second", IMAGES[0].id, FLAVORS[0].id, (NewNic(v.ids["own"]),))
    v.cloud.operations.instances.create(v.caller, new)
    v.ids["second"] = v.cloud.operations.instances.listing(v.caller)[-1].id


STEPS: list[tuple[Callable[[Voyage], Any], set[str]]] = [
    (boot, set()),
    (own_network, set()),
    (lambda v: v.ask("PUT", f"/networks/{v.ids['own']}", {"network": {"name": "www"}}), {"networks"}),
    (own_subnet, {"networks"}),
    (lambda v: v.ask("PUT", f"/subnets/{v.ids['own']}", {"subnet": {"name": "s"}}), {"subnets"}),
    (lambda v: v.ask("PUT", f"/subnets/{v.ids['own']}", {"subnet": {"dns_nameservers": ["192.0.2.1"]}}), {"subnets"}),
    (own_router, set()),
    (lambda v: v.ask("PUT", f"/routers/{v.ids['router']}", {"router": {"name": "edge"}}), {"routers"}),
    (
        lambda v: v.ask("PUT", f"/routers/{v.ids['router']}/add_router_interface", {"subnet_id": v.ids["own"]}),
        set(),
    ),
    (allocate, set()),
    (gateway, {"routers"}),
    (
        lambda v: v.cloud.operations.addresses.associate(v.caller, v.ids["server"], v.ids["floating"].address),
        {"floatingips"},
    ),
    (
        lambda v: v.cloud.operations.addresses.disassociate(v.caller, v.ids["server"], v.ids["floating"].address),
        {"floatingips"},
    ),
    (forward, {"floatingips"}),
    (
        lambda v: v.ask(
            "PUT",
            f"/floatingips/{v.ids['floating'].id}/port_forwardings/{v.ids['forwarding'].id}",
            {"port_forwarding": {"external_port": 81}},
        ),
        {"floatingips"},
    ),
    (lambda v: v.cloud.operations.forwardings.delete(v.caller, v.ids["forwarding"].id), {"floatingips"}),
    (group, set()),
    (rule, {"security-groups"}),
    (lambda v: v.cloud.operations.groups.update(v.caller, v.ids["group"], "www"), {"security-groups"}),
    (lambda v: v.cloud.operations.groups.join(v.caller, v.ids["server"], v.ids["group"]), {"ports"}),
    (lambda v: v.cloud.operations.groups.leave(v.caller, v.ids["server"], v.ids["group"]), {"ports"}),
    (lambda v: v.cloud.operations.groups.delete_rule(v.caller, v.ids["rule"]), {"security-groups"}),
    (lambda v: v.cloud.operations.nics.add_fixed(v.caller, v.ids["port"], IPv4Address("10.0.0.77")), {"ports"}),
    (lambda v: v.cloud.operations.nics.remove_fixed(v.caller, v.ids["port"], IPv4Address("10.0.0.77")), {"ports"}),
    (lambda v: v.cloud.operations.nics.allow(v.caller, v.ids["port"], ["10.0.0.99"]), {"ports"}),
    (lambda v: v.cloud.operations.nics.disallow(v.caller, v.ids["port"], ["10.0.0.99"]), {"ports"}),
    (lambda v: v.cloud.operations.power.stop(v.caller, v.ids["server"]), {"ports"}),
    (lambda v: v.cloud.operations.power.start(v.caller, v.ids["server"]), {"ports"}),
    (lambda v: v.cloud.operations.instances.rename(v.caller, v.ids["server"], "other"), set()),
    (subnet_pool, set()),
    (
        lambda v: v.ask("PUT", f"/subnetpools/{v.ids['subnet_pool']}", {"subnetpool": {"name": "pool"}}),
        {"subnetpools"},
    ),
    (more_of_the_pool, {"subnets"}),
    (lambda v: v.cloud.operations.pools.update(v.root, "public", PoolChange(per_fixed=2)), set()),
    (second, set()),
    (lambda v: v.cloud.operations.instances.delete(v.caller, v.ids["server"]), set()),
    (lambda v: v.cloud.operations.instances.delete(v.caller, v.ids["second"]), set()),
    (
        lambda v: v.ask("PUT", f"/routers/{v.ids['router']}/remove_router_interface", {"subnet_id": v.ids["own"]}),
        set(),
    ),
    # It is the same network, with its tags and its past.
    (lambda v: v.ask("PUT", f"/networks/{v.ids['own']}/tags/red"), {"networks"}),
    (lambda v: v.ask("DELETE", f"/subnets/{v.ids['own']}"), {"networks"}),
    (own_subnet, {"networks"}),
]


def test_nothing_changes_in_secret(cloud: Cloud, alice: Client) -> None:
    voyage = Voyage(cloud, alice)
    for number, (step, changed) in enumerate(STEPS):
        cloud.clock.advance(60)  # type: ignore[union-attr]  # a dialect's cloud has a clock that is stopped
        step(voyage)
        assert voyage.look(f"step {number}") == changed, f"step {number}"
    assert voyage.seen["networks", voyage.ids["own"]]["tags"] == ["red"]


def test_times_are_those_of_what_was_done(cloud: Cloud, alice: Client) -> None:
    made = alice("POST", "/networks", {"network": {"name": "web"}}).json()["network"]
    assert made["created_at"] == made["updated_at"]
    cloud.clock.advance(600)  # type: ignore[union-attr]  # as above
    changed = alice("PUT", f"/networks/{made['id']}", {"network": {"name": "www"}}).json()["network"]
    assert (changed["created_at"], changed["updated_at"] > made["updated_at"]) == (made["created_at"], True)
    cloud.clock.advance(600)  # type: ignore[union-attr]  # as above
    subnet = {"network_id": made["id"], "ip_version": 4, "cidr": "10.8.0.0/24"}
    added = alice("POST", "/subnets", {"subnet": subnet}).json()["subnet"]
    assert added["created_at"] > changed["updated_at"]
    assert alice.get(f"/networks/{made['id']}")["network"]["created_at"] == made["created_at"]
    router = alice("POST", "/routers", {"router": {"name": "own"}}).json()["router"]
    cloud.clock.advance(600)  # type: ignore[union-attr]  # as above
    alice("PUT", f"/routers/{router['id']}/add_router_interface", {"subnet_id": made["id"]})
    (port,) = alice.get(f"/ports?device_id={router['id']}")["ports"]
    assert port["created_at"] > added["updated_at"]


CONDITIONAL: list[tuple[str, str, dict[str, Any]]] = [
    ("subnets", "subnet", {"name": "other"}),
    ("networks", "network", {"name": "other"}),
    ("routers", "router", {"name": "other"}),
    ("ports", "port", {"security_groups": []}),
    ("floatingips", "floatingip", {"port_id": None}),
    ("security-groups", "security_group", {"name": "other"}),
    ("subnetpools", "subnetpool", {"name": "other"}),
]


@pytest.fixture
def things(cloud: Cloud, alice: Client) -> dict[str, str]:
    """One thing of alice's of each kind that has revisions."""
    voyage = Voyage(cloud, alice)
    for make in (boot, own_network, own_subnet, own_router, allocate, group, rule, subnet_pool):
        make(voyage)
    ids = voyage.ids
    return {
        "networks": ids["own"],
        "subnets": ids["own"],
        "routers": ids["router"],
        "ports": ids["port"],
        "floatingips": ids["floating"].id,
        "security-groups": ids["group"],
        "security-group-rules": ids["rule"],
        "subnetpools": ids["subnet_pool"],
    }


def test_only_what_has_the_revision_is_changed(things: dict[str, str], alice: Client) -> None:
    for plural, singular, change in CONDITIONAL:
        _only_what_has_the_revision(things, alice, plural, singular, change)


def _only_what_has_the_revision(
    things: dict[str, str], alice: Client, plural: str, singular: str, change: dict[str, Any]
) -> None:
    path = f"/{plural}/{things[plural]}"
    before = alice.get(path)
    revision = before[singular]["revision_number"]

    def do(method: str, where: str, body: Any, revision: int) -> int:
        headers = {**alice.headers, "If-Match": f"revision_number={revision}"}
        return Client(alice.http, headers)(method, where, body).status_code

    for wrong in (revision - 1, revision + 1):
        assert do("PUT", path, {singular: change}, wrong) == 412
        assert do("PUT", path, {singular: {}}, wrong) == 412
        assert do("PUT", f"{path}/tags", {"tags": ["red"]}, wrong) == 412
        assert do("PUT", f"{path}/tags/red", None, wrong) == 412
        assert do("DELETE", f"{path}/tags", None, wrong) == 412
        assert plural == "ports" or do("DELETE", path, None, wrong) == 412
    assert alice.get(path) == before
    assert do("PUT", path, {singular: change}, revision) == 200
    now = alice.get(path)[singular]["revision_number"]
    assert do("PUT", f"{path}/tags/red", None, now) == 201
    now = alice.get(path)[singular]["revision_number"]
    assert plural == "ports" or do("DELETE", path, None, now) == 204


def test_a_rule_and_a_routers_interfaces(things: dict[str, str], alice: Client) -> None:
    wrong = Client(alice.http, {**alice.headers, "If-Match": "revision_number=99"})
    router = f"/routers/{things['routers']}"
    for verb in ("add_router_interface", "remove_router_interface"):
        assert wrong("PUT", f"{router}/{verb}", {"subnet_id": things["subnets"]}).status_code == 412
    assert wrong("DELETE", f"/security-group-rules/{things['security-group-rules']}").status_code == 412
    assert alice("DELETE", f"/security-group-rules/{things['security-group-rules']}").status_code == 204


def test_conditions_that_are_none(things: dict[str, str], alice: Client) -> None:
    path = f"/networks/{things['networks']}"
    before = alice.get(path)
    for condition in ("", "*", '"3"', "revision_number=", "revision_number=x", "revision_number=1,2"):
        asking = Client(alice.http, {**alice.headers, "If-Match": condition})
        answer = asking("PUT", path, {"network": {"name": "other"}})
        assert (answer.status_code, answer.json()["NeutronError"]["type"]) == (400, "BadRequest"), condition
    assert alice.get(path) == before


def test_how_many_tags(things: dict[str, str], alice: Client) -> None:
    path = f"/networks/{things['networks']}/tags"
    most = [f"{number:02}" + "x" * 58 for number in range(MOST_TAGS)]
    assert alice("PUT", path, {"tags": [*most, most[0]]}).json() == {"tags": most}
    refused = alice("PUT", f"{path}/more")
    assert (refused.status_code, refused.json()["NeutronError"]["message"]) == (400, "tags: a thing has at most 50")
    assert alice.get(path) == {"tags": most}
    for bad in ("", "x" * 61, "a,b", "a\nb", "\u0085"):
        assert alice("PUT", path, {"tags": ["good", bad]}).status_code == 400
    assert alice.get(path) == {"tags": most}


def test_a_tag_that_is_there_is_no_change(things: dict[str, str], alice: Client) -> None:
    path = f"/networks/{things['networks']}"
    alice("PUT", f"{path}/tags/red")
    before = alice.get(path)
    assert alice("PUT", f"{path}/tags/red").status_code == 201
    assert alice("PUT", f"{path}/tags", {"tags": ["red", "red"]}).status_code == 200
    assert alice.get(path) == before


def test_where_a_router_meets_a_subnet_the_port_has_no_tags(things: dict[str, str], alice: Client) -> None:
    alice("PUT", f"/routers/{things['routers']}/add_router_interface", {"subnet_id": things["subnets"]})
    (port,) = alice.get(f"/ports?device_id={things['routers']}")["ports"]
    assert port["tags"] == []
    assert alice("PUT", f"/ports/{port['id']}/tags/red").status_code == 404
