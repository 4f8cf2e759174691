"""Floating IPs that came with servers, as nova and Neutron show and keep them: the row `auto-assigned` of nova's answers, and what is seen of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mooring.dialects import neutron
from mooring.dialects.openstack import create_app
from mooring.model.nouns import FloatingIp, Instance
from tests.cloud import Cloud, StoppedClock
from tests.dialects.conftest import Stage
from tests.dialects.openstack.conftest import PUBLIC_URL, Client


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db", StoppedClock(), auto_assign="public")
    yield made
    made.close()


@pytest.fixture
def http(cloud: Cloud, stage: tuple[Stage, str]) -> Iterator[httpx2.Client]:
    stage[0].app = create_app(cloud.operations, public_url=PUBLIC_URL, services=[neutron.SERVICE])
    with httpx2.Client(base_url=stage[1], timeout=30) as client:
        yield client


@dataclass
class Scene:
    """Two servers of alice's, each with the floating IP that it came with."""

    cloud: Cloud
    alice: Client
    one: Instance
    two: Instance

    @property
    def floating(self) -> FloatingIp:
        """The first server's."""
        return self.one.nics[0].floating[0]

    def network(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return self.alice.http.request(method, f"/network/v2.0{path}", json=body, headers=dict(self.alice.headers))


@pytest.fixture
def scene(cloud: Cloud, alice: Client) -> Scene:
    caller = cloud.caller("alice")
    return Scene(cloud, alice, cloud.boot(caller, "one"), cloud.boot(caller, "two"))


def _removed(scene: Scene) -> httpx2.Response:
    inside = {"address": str(scene.floating.address)}
    return scene.alice("POST", f"/servers/{scene.one.id}/action", {"removeFloatingIp": inside})


def _released(scene: Scene) -> httpx2.Response:
    return scene.alice("DELETE", f"/os-floating-ips/{scene.floating.id}")


def _removed_as_in_the_draft(scene: Scene) -> httpx2.Response:
    return scene.alice("POST", f"/os-floating-ips/{scene.floating.id}/removeFloatingIp")


@pytest.mark.parametrize("part", [_removed, _released, _removed_as_in_the_draft])
def test_nova_does_not_part_it_from_its_server(scene: Scene, part: Callable[[Scene], httpx2.Response]) -> None:
    before = scene.cloud.host.public_addresses()
    answer = part(scene)
    reason = f"Floating IP {scene.floating.address} came with instance {scene.one.id}, and goes when that is deleted."
    told = {"code": 403, "message": f"Cannot disassociate auto assigned floating IP. {reason}"}
    assert (answer.status_code, answer.json()) == (403, {"forbidden": told})
    assert scene.cloud.host.public_addresses() == before


def test_nova_passes_over_it_in_silence_where_it_is_added_elsewhere(scene: Scene) -> None:
    before = scene.cloud.host.public_addresses()
    address, fixed = str(scene.floating.address), str(scene.two.nics[0].fixed[0].address)
    for server in (scene.one, scene.two):
        answer = scene.alice("POST", f"/servers/{server.id}/action", {"addFloatingIp": {"address": address}})
        assert (answer.status_code, answer.content) == (202, b"")
    draft = {"associate_address": {"fixed_ip": fixed}}
    answer = scene.alice("POST", f"/os-floating-ips/{scene.floating.id}/addFloatingIp", draft)
    assert (answer.status_code, answer.content) == (202, b"")
    assert scene.cloud.host.public_addresses() == before


def test_other_refusals_of_addfloatingip_are_told(scene: Scene, bob: Client, rita: Client) -> None:
    action = {"addFloatingIp": {"address": str(scene.floating.address)}}
    assert rita("POST", f"/servers/{scene.two.id}/action", action).status_code == 403
    assert bob("POST", f"/servers/{scene.two.id}/action", action).status_code == 404


def test_what_nova_shows_of_it(scene: Scene, root: Client) -> None:
    alice, address = scene.alice, str(scene.floating.address)
    own = alice("POST", "/os-floating-ips", {}).json()["floating_ip"]
    assert alice("GET", "/os-floating-ips").json() == {"floating_ips": [own]}
    shown = alice("GET", f"/os-floating-ips/{scene.floating.id}").json()["floating_ip"]
    assert (shown["ip"], shown["instance_id"]) == (address, scene.one.id)
    (addresses,) = alice("GET", f"/servers/{scene.one.id}").json()["server"]["addresses"].values()
    assert [each["addr"] for each in addresses if each["OS-EXT-IPS:type"] == "floating"] == [address]
    everything = {each["address"]: each for each in root("GET", "/os-floating-ips-bulk").json()["floating_ip_info"]}
    assert everything[address]["instance_uuid"] == scene.one.id
    assert alice("GET", "/limits").json()["limits"]["absolute"]["totalFloatingIpsUsed"] == 3


def test_the_network_service_keeps_and_shows_it_alike(scene: Scene) -> None:
    path, before = f"/floatingips/{scene.floating.id}", scene.cloud.host.public_addresses()
    elsewhere = {"floatingip": {"port_id": scene.two.nics[0].id}}
    for answer in (
        scene.network("DELETE", path),
        scene.network("PUT", path, {"floatingip": {"port_id": None}}),
        scene.network("PUT", path, elsewhere),
    ):
        assert answer.status_code == 403
        assert f"came with instance {scene.one.id}" in answer.json()["NeutronError"]["message"]
    assert scene.network("PUT", path, {"floatingip": {"port_id": scene.one.nics[0].id}}).status_code == 200
    assert scene.cloud.host.public_addresses() == before
    assert scene.network("GET", path).json()["floatingip"]["port_id"] == scene.one.nics[0].id
    for query in ("", f"?floating_ip_address={scene.floating.address}", f"?id={scene.floating.id}", "?sort_key=id"):
        assert scene.network("GET", f"/floatingips{query}").json() == {"floatingips": []}


def test_it_goes_with_its_server(scene: Scene) -> None:
    assert scene.alice("DELETE", f"/servers/{scene.one.id}").status_code == 204
    assert scene.alice("GET", f"/os-floating-ips/{scene.floating.id}").status_code == 404
    assert list(scene.cloud.host.public_addresses()) == [scene.two.nics[0].floating[0].address]
