"""What nova's v2.1 (releases 12 to 19) answered about floating IPs, condition by condition: our codes, and our words where they count.

Five of its conditions cannot arise here.  A driver's own errors (three): a change is committed first, and a host that cannot carry it out
reports so later.  `Multiple floating IPs are found`: an address is unique.  `lost the race`: that is 409, as not associated.

One departure more, on purpose: an address of another project is answered like one that doesn't exist (nova since Juno: 403).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mooring.model.nouns import AddressRange, FloatingIp, Instance
from mooring.operations import NewSubnet, PoolChange
from tests.cloud import POOL_RANGE, Cloud
from tests.dialects.openstack import test_automatic as automatic
from tests.dialects.openstack import test_edge as edge
from tests.dialects.openstack.conftest import Client

DOCS = Path(__file__).parents[3] / "docs" / "openstack.md"
UNKNOWN = "deadbeef-0000-4000-8000-000000000000"


@dataclass
class Scene:
    """Two servers and a floating IP of alice's, on the first server; a floating IP of bob's."""

    cloud: Cloud
    alice: Client
    first: Instance
    second: Instance
    floating: FloatingIp
    foreign: FloatingIp

    def action(self, server: str, name: str, **inside: Any) -> httpx2.Response:
        return self.alice("POST", f"/servers/{server}/action", {name: inside})


@pytest.fixture
def scene(cloud: Cloud, alice: Client) -> Scene:
    caller = cloud.caller("alice")
    first, second = cloud.boot(caller, "first"), cloud.boot(caller, "second")
    floating = cloud.operations.addresses.allocate(caller, "public")
    floating = cloud.operations.addresses.associate(caller, first.id, floating.address)
    foreign = cloud.operations.addresses.allocate(cloud.caller("bob"), "public")
    return Scene(cloud, alice, first, second, floating, foreign)


def told(response: httpx2.Response) -> tuple[int, str, str]:
    """Return the code, the name and the message of a fault."""
    ((name, inside),) = response.json().items()
    assert inside["code"] == response.status_code
    return response.status_code, name, inside["message"]


def test_unknown_id(scene: Scene) -> None:
    wanted = (404, "itemNotFound", f"Floating IP not found for ID {UNKNOWN}.")
    assert told(scene.alice("GET", f"/os-floating-ips/{UNKNOWN}")) == wanted
    assert told(scene.alice("DELETE", f"/os-floating-ips/{UNKNOWN}")) == wanted


@pytest.mark.parametrize(
    "odd", ["1", "public", "198.51.100.10", "x" * 200, "-1", "%00", "'; drop table addresses", "é"]
)
def test_id_that_does_not_parse(scene: Scene, odd: str) -> None:
    """404 and not nova's 400: the openstack command looks names up this way, and stops at 400."""
    assert scene.alice("GET", f"/os-floating-ips/{odd}").status_code == 404
    assert scene.alice("DELETE", f"/os-floating-ips/{odd}").status_code == 404


def test_pool_empty(scene: Scene) -> None:
    one = IPv4Address("203.0.113.10")
    scene.cloud.add_pool("tiny", AddressRange(one, one + 1), 1)  # one of the two is the router's own
    assert scene.alice("POST", "/os-floating-ips", {"pool": "tiny"}).status_code == 200
    answer = told(scene.alice("POST", "/os-floating-ips", {"pool": "tiny"}))
    assert answer == (404, "itemNotFound", "No more floating IPs available in pool tiny.")


def test_first_pool_empty(scene: Scene) -> None:
    free = AddressRange(max(scene.floating.address, scene.foreign.address) + 1, POOL_RANGE.last)
    scene.cloud.operations.ranges.remove(scene.cloud.caller("root"), free)
    for body in (None, {}, {"pool": None}):
        answer = told(scene.alice("POST", "/os-floating-ips", body))
        assert answer == (404, "itemNotFound", "No more floating IPs available.")


def test_pool_by_name_or_id_or_none(scene: Scene) -> None:
    pool = scene.floating.pool
    for body in (None, {}, {"pool": None}, {"pool": "public"}, {"pool": pool}):
        answer = scene.alice("POST", "/os-floating-ips", body)
        assert (answer.status_code, answer.json()["floating_ip"]["pool"]) == (200, "public")


def test_an_object_has_these_keys_and_no_others(scene: Scene) -> None:
    shown = scene.alice("GET", f"/os-floating-ips/{scene.floating.id}").json()["floating_ip"]
    assert shown == {
        "id": str(UUID(scene.floating.id)),
        "ip": str(scene.floating.address),
        "fixed_ip": str(scene.first.nics[0].fixed[0].address),
        "instance_id": scene.first.id,
        "pool": "public",
    }
    idle = scene.alice("POST", "/os-floating-ips").json()["floating_ip"]
    assert (idle.keys(), idle["fixed_ip"], idle["instance_id"]) == (shown.keys(), None, None)


def test_pool_unknown(scene: Scene) -> None:
    answer = told(scene.alice("POST", "/os-floating-ips", {"pool": "nowhere"}))
    assert answer == (404, "itemNotFound", "Floating IP pool not found.")


@pytest.mark.parametrize("body, where", [({}, ""), ({"pool": "public"}, " in pool public")])
def test_over_quota(scene: Scene, body: Mapping[str, str], where: str) -> None:
    for _ in range(9):
        assert scene.alice("POST", "/os-floating-ips").status_code == 200
    code, name, message = told(scene.alice("POST", "/os-floating-ips", body))
    assert (code, name) == (403, "forbidden")
    assert message == f"IP allocation over quota{where}. Quota exceeded for floating IPs: the limit is 10."


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
@pytest.mark.parametrize("inside", [None, "198.51.100.10", ["198.51.100.10"], 7, True])
def test_action_value_is_no_object(scene: Scene, name: str, inside: Any) -> None:
    answer = told(scene.alice("POST", f"/servers/{scene.first.id}/action", {name: inside}))
    assert answer == (400, "badRequest", f"Invalid input for field {name}: must be an object.")


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
def test_address_missing(scene: Scene, name: str) -> None:
    answer = told(scene.action(scene.first.id, name))
    assert answer == (400, "badRequest", "Invalid input for field address: it is required.")


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
@pytest.mark.parametrize("address", ["", "nowhere", "198.51.100.256", "198.51.100.10/32", 3325256714, None, ["a"]])
def test_address_is_none(scene: Scene, name: str, address: Any) -> None:
    code, fault, message = told(scene.action(scene.first.id, name, address=address))
    assert (code, fault) == (400, "badRequest")
    assert message.startswith("Invalid input for field address: ")


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
def test_server_unknown(scene: Scene, name: str) -> None:
    answer = told(scene.action(UNKNOWN, name, address=str(scene.floating.address)))
    assert answer == (404, "itemNotFound", f"Instance {UNKNOWN} could not be found.")


def test_instance_without_an_address(scene: Scene) -> None:
    """Nova's two rows, no network info and no fixed address, are one here: the address comes with the network."""
    scene.cloud.host.away = True
    made = scene.alice("POST", "/servers", {"server": _server(scene.cloud, "third")}).json()["server"]
    code, name, message = told(scene.action(made["id"], "addFloatingIp", address=str(scene.floating.address)))
    assert (code, name) == (400, "badRequest")
    assert message.startswith("Instance network is not ready yet.")


def test_instance_that_failed(scene: Scene) -> None:
    scene.cloud.host.failing = "no room"
    made = scene.alice("POST", "/servers", {"server": _server(scene.cloud, "third")}).json()["server"]
    code, name, message = told(scene.action(made["id"], "addFloatingIp", address=str(scene.floating.address)))
    assert (code, name) == (400, "badRequest")
    assert message.startswith("No fixed IPs associated to instance.")


def test_instance_without_a_card(scene: Scene) -> None:
    assert (
        scene.alice("DELETE", f"/servers/{scene.second.id}/os-interface/{scene.second.nics[0].id}").status_code == 202
    )
    code, name, message = told(scene.action(scene.second.id, "addFloatingIp", address=str(scene.floating.address)))
    assert (code, name) == (400, "badRequest")
    assert message.startswith("No fixed IPs associated to instance.")


def test_network_from_which_nothing_leads_there(scene: Scene) -> None:
    caller, own = scene.cloud.caller("alice"), scene.cloud.operations.own_networks
    network = own.add_subnet(caller, NewSubnet(own.create(caller, "island").id, cidr=IPv4Network("10.9.0.0/24")))
    body = {"server": {**_server(scene.cloud, "third"), "networks": [{"uuid": network.id}]}}
    made = scene.alice("POST", "/servers", body).json()["server"]["id"]
    code, name, message = told(scene.action(made, "addFloatingIp", address=str(scene.floating.address)))
    assert (code, name) == (400, "badRequest")
    assert message.startswith(f"Unable to associate floating IP {scene.floating.address} with instance {made}. Error: ")
    assert "Network island" in message


def test_pool_that_was_withdrawn(scene: Scene) -> None:
    scene.cloud.operations.pools.update(scene.cloud.caller("root"), "public", PoolChange(public=False))
    code, name, message = told(scene.action(scene.second.id, "addFloatingIp", address=str(scene.floating.address)))
    assert (code, name) == (400, "badRequest")
    assert "Error: Pool public was withdrawn from project boats" in message


def test_fixed_address_of_another(scene: Scene) -> None:
    """Also what a wrong kind of address is answered; instances have IPv4 alone, so `only IPv6` has no row of its own."""
    for other in (scene.second.nics[0].fixed[0].address, "192.0.2.1", "fd00::1"):
        answer = scene.action(
            scene.first.id, "addFloatingIp", address=str(scene.floating.address), fixed_address=str(other)
        )
        code, name, message = told(answer)
        assert (code, name) == (400, "badRequest")
        assert message.startswith("Specified fixed address not assigned to instance.")


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
@pytest.mark.parametrize("address", ["198.51.100.39", "198.51.100.200", "8.8.8.8", "0.0.0.0", "10.0.0.2", "fd00::1"])  # noqa: S104
def test_address_unknown(scene: Scene, name: str, address: str) -> None:
    answer = told(scene.action(scene.first.id, name, address=address))
    assert answer == (404, "itemNotFound", f"floating IP not found: the project has no {address}.")


@pytest.mark.parametrize("name", ["addFloatingIp", "removeFloatingIp"])
def test_address_of_another_project(scene: Scene, name: str) -> None:
    answer = told(scene.action(scene.first.id, name, address=str(scene.foreign.address)))
    assert answer == (404, "itemNotFound", f"floating IP not found: the project has no {scene.foreign.address}.")


def test_second_of_a_pool(scene: Scene) -> None:
    another = scene.alice("POST", "/os-floating-ips", {"pool": "public"}).json()["floating_ip"]["ip"]
    code, name, message = told(scene.action(scene.first.id, "addFloatingIp", address=another))
    assert (code, name) == (400, "badRequest")
    assert message.startswith(f"Unable to associate floating IP {another} with instance {scene.first.id}. Error: ")
    assert str(scene.floating.address) in message


def test_associated_already_is_no_error(scene: Scene) -> None:
    assert scene.action(scene.first.id, "addFloatingIp", address=str(scene.floating.address)).status_code == 202


def test_associated_elsewhere_moves(scene: Scene) -> None:
    assert scene.action(scene.second.id, "addFloatingIp", address=str(scene.floating.address)).status_code == 202
    shown = scene.alice("GET", f"/os-floating-ips/{scene.floating.id}").json()["floating_ip"]
    assert shown["instance_id"] == scene.second.id
    assert scene.cloud.host.public_addresses() == {scene.floating.address: scene.second.nics[0].fixed[0].address}


def test_remove_from_the_wrong_server(scene: Scene) -> None:
    answer = told(scene.action(scene.second.id, "removeFloatingIp", address=str(scene.floating.address)))
    text = f"Floating IP {scene.floating.address} is not associated with instance {scene.second.id}."
    assert answer == (409, "conflictingRequest", text)
    assert scene.cloud.host.public_addresses() != {}


def test_remove_twice(scene: Scene) -> None:
    assert scene.action(scene.first.id, "removeFloatingIp", address=str(scene.floating.address)).status_code == 202
    assert scene.action(scene.first.id, "removeFloatingIp", address=str(scene.floating.address)).status_code == 409
    assert scene.cloud.host.public_addresses() == {}


def test_microversion_without_floating_ips(scene: Scene) -> None:
    """Nova answers 404 from 2.36 on; nobody gets that far here."""
    answer = scene.alice("GET", "/os-floating-ips", headers={"X-OpenStack-Nova-API-Version": "2.36"})
    wanted = "Version 2.36 is not supported by the API. Minimum is 2.1 and maximum is 2.35."
    assert told(answer) == (406, "computeFault", wanted)


@pytest.mark.parametrize("older", ["v2", "v1.1"])
def test_older_paths_answer_alike(scene: Scene, older: str) -> None:
    """Every refusal above that a request alone can bring about."""
    ours, foreign = str(scene.floating.address), str(scene.foreign.address)
    actions: list[Any] = [
        {name: inside}
        for name in ("addFloatingIp", "removeFloatingIp")
        for inside in (None, "x", {}, {"address": "nowhere"}, {"address": "0.0.0.0"}, {"address": foreign})  # noqa: S104
    ]
    actions += [
        {"removeFloatingIp": {"address": ours}},
        {"addFloatingIp": {"address": ours, "fixed_address": "192.0.2.1"}},
        {"nothing": None},
        {**actions[0], **actions[-1]},
    ]
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/os-floating-ips/x", None),
        ("DELETE", f"/os-floating-ips/{UNKNOWN}", None),
        ("POST", "/os-floating-ips", {"pool": "nowhere"}),
        ("POST", "/os-floating-ips", {"pool": 7}),
        *(("POST", f"/servers/{scene.second.id}/action", action) for action in actions),
        ("POST", f"/servers/{UNKNOWN}/action", actions[-4]),
    ]
    for method, path, body in asked:
        newer = scene.alice(method, f"/compute/v2.1{path}", body)
        answer = scene.alice(method, f"/compute/{older}{path}", body)
        assert newer.status_code >= 400
        assert (answer.status_code, answer.json()) == (newer.status_code, newer.json())


@pytest.mark.parametrize("networks", [{}, {"networks": None}, {"networks": []}], ids=str)
def test_server_on_the_only_network(scene: Scene, networks: Mapping[str, Any]) -> None:
    made = scene.alice("POST", "/servers", {"server": {**_server(scene.cloud, "third"), **networks}})
    assert made.status_code == 202
    shown = scene.alice("GET", f"/servers/{made.json()['server']['id']}/ips").json()["addresses"]
    assert [len(addresses) for addresses in shown.values()] == [1]
    assert list(shown) == ["private"]


def test_every_answer_is_documented() -> None:
    """docs/openstack.md names each test of this module, those of nova in test_automatic.py, and no others that aren't in test_edge.py."""
    section = DOCS.read_text().partition("## What nova answered")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", section))
    here = {name for name in globals() if name.startswith("test_")} - {"test_every_answer_is_documented"}
    here |= {name for name in vars(automatic) if name.startswith("test_nova")}
    assert here <= named
    assert named - here <= vars(edge).keys()


def _server(cloud: Cloud, name: str) -> Mapping[str, Any]:
    return {"name": name, "imageRef": cloud.operations.instances.images()[0].id, "flavorRef": "1"}
