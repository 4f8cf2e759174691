"""Many clients at once, each on a thread of its own, over real HTTP."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address

import httpx2
import pytest

from mooring.dialects.openstack import create_app
from mooring.model.nouns import AddressRange, InstanceState
from tests.cloud import IMAGES, Cloud, Server
from tests.operations import laws

CLIENTS = 64


def addresses(count: int) -> AddressRange:
    """Return a range from which a pool has `count` addresses left when the router has taken its own."""
    first = IPv4Address("198.51.100.10")
    return AddressRange(first, first + count)


@contextmanager
def served(cloud: Cloud, user: str = "alice") -> Iterator[Callable[[str, str, object], httpx2.Response]]:
    """Serve a cloud's OpenStack API, to be called from any thread, each with a connection of its own."""
    own = threading.local()
    clients: list[httpx2.Client] = []
    with Server(create_app(cloud.operations)) as server:
        headers = {"X-Auth-Token": cloud.token(user)}

        def call(method: str, path: str, json: object = None) -> httpx2.Response:
            if not hasattr(own, "client"):
                own.client = httpx2.Client(base_url=f"{server.url}/compute/v2.1", headers=headers, timeout=60)
                clients.append(own.client)
            client: httpx2.Client = own.client
            return client.request(method, path, json=json)

        yield call
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "free, quota, refusal",
    [(10, 10, {403, 404}), (10, 1000, {404}), (200, 10, {403})],
    ids=["10 addresses and a quota of 10", "10 addresses", "a quota of 10"],
)
def test_as_many_as_there_are(make_cloud: Callable[..., Cloud], free: int, quota: int, refusal: set[int]) -> None:
    cloud = make_cloud(quota=quota, pools=(("public", addresses(free)),))
    start = threading.Barrier(CLIENTS)

    def allocate(_number: int) -> httpx2.Response:
        start.wait()
        return call("POST", "/os-floating-ips", {"pool": "public"})

    with served(cloud) as call, ThreadPoolExecutor(CLIENTS) as threads:
        answers = list(threads.map(allocate, range(CLIENTS)))
        listed = call("GET", "/os-floating-ips", None).json()["floating_ips"]
    codes = Counter(answer.status_code for answer in answers)
    assert codes[200] == 10
    assert set(codes) - {200} <= refusal
    got = {answer.json()["floating_ip"]["ip"] for answer in answers if answer.status_code == 200}
    assert len(got) == 10
    assert {each["ip"] for each in listed} == got
    laws.check(cloud)


def test_servers_as_many_as_allowed(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(quota=10)
    body = {"server": {"name": "vm", "imageRef": IMAGES[0].id, "flavorRef": "1"}}
    with served(cloud) as call, ThreadPoolExecutor(CLIENTS) as threads:
        codes = Counter(threads.map(lambda _: call("POST", "/servers", body).status_code, range(CLIENTS)))
        assert codes == {202: 10, 403: CLIENTS - 10}
        servers = call("GET", "/servers/detail", None).json()["servers"]
    assert {server["status"] for server in servers} == {"ACTIVE"}
    fixed = [address["addr"] for server in servers for address in server["addresses"]["private"]]
    assert len(set(fixed)) == len(fixed) == 10
    laws.check(cloud)


def test_allocate_and_release_in_turns(make_cloud: Callable[..., Cloud]) -> None:
    """Each client takes an address, has it for itself, and gives it back: there are fewer addresses than clients."""
    cloud = make_cloud(quota=100, pools=(("public", addresses(8)),))
    held: set[str] = set()
    guard = threading.Lock()

    def turn(_number: int) -> int:
        answer = call("POST", "/os-floating-ips", None)
        if answer.status_code != 200:
            return answer.status_code
        floating = answer.json()["floating_ip"]
        with guard:
            assert floating["ip"] not in held
            held.add(floating["ip"])
        with guard:
            held.remove(floating["ip"])
        return call("DELETE", f"/os-floating-ips/{floating['id']}", None).status_code

    with served(cloud) as call, ThreadPoolExecutor(16) as threads:
        codes = Counter(threads.map(turn, range(128)))
    assert set(codes) <= {202, 404}
    assert codes[202] >= 8
    laws.check(cloud)


def test_associate_release_and_delete_at_once(make_cloud: Callable[..., Cloud]) -> None:
    """Clients in each other's way: whoever comes first, the others get a clear answer, and nothing is left half done."""
    cloud = make_cloud(quota=100)
    caller = cloud.caller("alice")
    codes = Counter[tuple[str, int]]()
    with served(cloud) as call, ThreadPoolExecutor(16) as threads:
        for _ in range(6):
            servers = [cloud.boot(caller, f"vm{number}").id for number in range(2)]
            floating = [cloud.operations.addresses.allocate(caller, None) for _ in range(2)]
            steps: list[tuple[str, str, str, object]] = []
            for server in servers:
                for each in floating:
                    address = {"address": str(each.address)}
                    steps += [("add", "POST", f"/servers/{server}/action", {"addFloatingIp": address})]
                    steps += [("remove", "POST", f"/servers/{server}/action", {"removeFloatingIp": address})]
            steps += [("release", "DELETE", f"/os-floating-ips/{floating[0].id}", None)] * 2
            steps += [("delete", "DELETE", f"/servers/{servers[0]}", None)] * 2
            answers = threads.map(lambda step: (step[0], call(*step[1:]).status_code), steps + steps)
            codes.update(answers)
            laws.check(cloud)
    allowed = {
        "add": {202, 400, 404, 409},
        "remove": {202, 404, 409},
        "release": {202, 404},
        "delete": {204, 404},
    }
    for step, code in codes:
        assert code in allowed[step], codes
    assert codes["release", 202] == 6


def test_reads_go_on_while_writes_wait_for_a_host(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(quota=100, settle_timeout=4.0)
    caller = cloud.caller("alice")
    servers = [cloud.boot(caller, f"vm{number}") for number in range(CLIENTS)]
    cloud.host.away = True
    with served(cloud) as call, ThreadPoolExecutor(len(servers)) as threads:
        call("GET", "/servers", None)
        deletions = [threads.submit(call, "DELETE", f"/servers/{server.id}", None) for server in servers]
        while (
            sum(each.state is InstanceState.DELETING for each in cloud.operations.instances.listing(caller)) < CLIENTS
        ):
            time.sleep(0.01)
        assert not any(deletion.done() for deletion in deletions)
        assert call("GET", "/servers/detail", None).status_code == 200
        assert not any(deletion.done() for deletion in deletions)
        assert {deletion.result().status_code for deletion in deletions} == {204}
        cloud.host.come_back()
        assert call("GET", "/servers", None).json() == {"servers": []}
    laws.check(cloud)
