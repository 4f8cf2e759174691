"""The whole control plane on the fake back-end: late allocation, associations, deletion, and what a restart must not lose."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path
from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from mooring.bus.messages import Request, working_on
from mooring.compile.tables import DHCP_HOST, FIP_IN, OWNED, PAIR
from mooring.control import controller
from mooring.main.controller import ControllerFigures
from mooring.model.faults import Exhausted, NotFound, Unavailable
from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance, NewNetwork, NewNic, memory
from mooring.operations.pools import PoolOperations
from tests.control.plane import Plane, eventually


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    plane = Plane(tmp_path)
    plane.start()
    plane.set_up()
    yield plane
    plane.stop()


def _compiled(plane: Plane) -> bool:
    return plane.backend.read() == plane.operations.hosts.state(plane.caller("admin"), "host-1")


def test_an_instance_is_answered_at_once_and_gets_its_address_late(plane: Plane) -> None:
    demo = plane.caller()
    made = plane.operations.instances.create(demo, NewInstance("web-1", "web", "1"))
    assert made.state is InstanceState.BUILDING
    assert not made.nics[0].fixed
    eventually(lambda: plane.operations.instances.get(demo, made.id).state is InstanceState.ACTIVE)
    instance = plane.operations.instances.get(demo, made.id)
    assert [str(fixed.address) for fixed in instance.nics[0].fixed] == ["10.0.0.2"]
    assert instance.host == plane.host.id
    assert plane.guests.running == {made.id}
    assert {value[0] for key, value in plane.backend.read().items() if key.table is DHCP_HOST} == {
        instance.nics[0].fixed[0].address
    }
    assert _compiled(plane)


def test_pools_are_counted_and_stay_told_while_the_database_is_away(tmp_path: Path) -> None:
    # Not started: it counts when it is told to.
    plane = Plane(tmp_path)
    plane.set_up()

    def told() -> list[str]:
        registry = CollectorRegistry()
        registry.register(ControllerFigures(plane.controller))
        lines = generate_latest(registry).decode().splitlines()
        return [line for line in lines if line.startswith("mooring_pool_addresses{")]

    demo = plane.caller()
    plane.operations.addresses.allocate(demo, "public")
    plane.controller.count_pools()
    counted = told()
    with patch.object(PoolOperations, "fill", side_effect=Unavailable("The database is not available.")):
        plane.controller.count_pools()
    assert told() == counted
    plane.bus.close()
    plane.store.close()
    states = {"owned": 1.0, "routers": 1.0, "quarantined": 0.0, "free": 29.0}
    assert counted == [
        f'mooring_pool_addresses{{pool="public",state="{state}"}} {count}' for state, count in states.items()
    ]


def test_every_step_of_a_launch_is_logged_with_its_request_and_its_instance(tmp_path: Path) -> None:
    # What a comparison finds is logged for nobody.
    plane = Plane(tmp_path, compare_every=3600)
    plane.start()
    plane.set_up()
    demo = plane.caller()
    with capture_logs([merge_contextvars]) as logs, working_on(Request(request_id="req-1")):
        made = plane.operations.instances.create(demo, NewInstance("web-1", "web", "1"))
        eventually(lambda: "instance is active" in {line["event"] for line in logs})
    plane.stop()
    lines = [line for line in logs if line.get("request_id") == "req-1"]
    steps = {line["event"]: line for line in lines if line.get("instance") == made.id}
    assert list(steps) == ["launch", "networks set up", "fixed IPs taken", "guest runs", "instance is active"]
    assert steps["launch"]["host"] == steps["networks set up"]["host"] == plane.host.id
    assert steps["networks set up"]["networks"] == [{"network": "private", "gateway": plane.host.id, "chosen": True}]
    assert steps["fixed IPs taken"]["addresses"] == ["10.0.0.2"]
    assert steps["guest runs"]["injected"] == []
    changes = [line["tables"] for line in lines if line["event"] == "change applied"]
    assert [tables["dhcp_host"] for tables in changes if "dhcp_host" in tables] == [1]


def test_an_association_holds_in_the_host_when_the_call_returns(plane: Plane) -> None:
    demo = plane.caller()
    first, second = plane.boot(demo, "web-1"), plane.boot(demo, "web-2")
    address = plane.operations.addresses.allocate(demo, "public").address
    for target in (first, second):
        plane.operations.addresses.associate(demo, target, address)
        fixed = plane.operations.instances.get(demo, target).nics[0].fixed[0].address
        translated = {key.row[0]: value[0] for key, value in plane.backend.read().items() if key.table is FIP_IN}
        assert translated == {address: fixed}
    plane.operations.addresses.disassociate(demo, second, address)
    assert not [key for key in plane.backend.read() if key.table in (FIP_IN, PAIR, OWNED) and address in key.row]
    assert _compiled(plane)


def test_a_deleted_instance_leaves_nothing_behind(plane: Plane) -> None:
    demo = plane.caller()
    instance = plane.boot(demo, "web-1")
    before = plane.boot(demo, "web-0")
    floating = plane.operations.addresses.allocate(demo, "public")
    plane.operations.addresses.associate(demo, instance, floating.address)
    plane.operations.instances.delete(demo, instance)

    def gone() -> bool:
        try:
            plane.operations.instances.get(demo, instance)
        except NotFound:
            return True
        return False

    eventually(gone)
    assert plane.guests.running == {before}
    assert _compiled(plane)
    kept = plane.operations.addresses.get(demo, floating.id)
    assert (kept.instance, kept.fixed) == (None, None)
    # Its fixed address is free again, and rests: the next instance gets another one.
    third = plane.boot(demo, "web-3")
    assert str(plane.operations.instances.get(demo, third).nics[0].fixed[0].address) == "10.0.0.4"


def test_a_released_address_is_given_again_only_after_its_host_has_confirmed(plane: Plane) -> None:
    demo = plane.caller()
    instance = plane.boot(demo, "web-1")
    floating = plane.operations.addresses.allocate(demo, "public")
    plane.operations.addresses.associate(demo, instance, floating.address)
    plane.agent.stop()
    plane.operations.addresses.release(demo, floating.id)
    assert not plane.operations.addresses.listing(demo)
    usage = plane.operations.pools.usage(plane.caller("admin"), "public")
    assert (usage.allocated, usage.releasing) == (0, 1)
    with plane.store.read() as tx:
        assert tx.addresses.find("public", floating.address) is not None
    plane.restart_agent()
    eventually(lambda: plane.operations.pools.usage(plane.caller("admin"), "public").releasing == 0)
    assert _compiled(plane)


def test_work_done_while_the_agent_was_away_is_made_up_for(plane: Plane) -> None:
    demo = plane.caller()
    first = plane.boot(demo, "web-1")
    plane.agent.stop()
    address = plane.operations.addresses.allocate(demo, "public").address
    plane.operations.addresses.associate(demo, first, address)
    assert not [key for key in plane.backend.read() if key.table is FIP_IN]
    late = plane.operations.instances.create(demo, NewInstance("web-2", "web", "1"))
    plane.restart_agent()
    eventually(lambda: [key for key in plane.backend.read() if key.table is FIP_IN])
    eventually(lambda: plane.operations.instances.get(demo, late.id).state is InstanceState.ACTIVE, timeout=20)
    assert _compiled(plane)


def test_an_instance_deleted_in_mid_launch_leaves_nothing(plane: Plane) -> None:
    demo = plane.caller()
    plane.agent.stop()
    made = plane.operations.instances.create(demo, NewInstance("web-1", "web", "1"))
    eventually(lambda: plane.operations.instances.get(demo, made.id).nics[0].fixed, timeout=15)
    plane.operations.instances.delete(demo, made.id)
    plane.restart_agent()
    eventually(lambda: not plane.operations.instances.listing(demo), timeout=15)
    eventually(lambda: _compiled(plane))
    assert not plane.guests.running


def test_a_network_without_free_addresses_refuses_at_once(plane: Plane) -> None:
    admin, demo = plane.caller("admin"), plane.caller()
    plane.operations.networks.create(admin, NewNetwork("tiny", IPv4Network("10.9.0.0/29")))
    new = NewInstance("web", "web", "1", (NewNic("tiny"),))
    made = [plane.operations.instances.create(demo, new) for _ in range(5)]
    eventually(lambda: all(known.state is InstanceState.ACTIVE for known in plane.operations.instances.listing(demo)))
    addresses = {plane.operations.instances.get(demo, instance.id).nics[0].fixed[0].address for instance in made}
    assert len(addresses) == 5
    with pytest.raises(Exhausted, match="tiny"):
        plane.operations.instances.create(demo, new)
    assert len(plane.operations.instances.listing(demo)) == 5


def test_the_controller_forgets_what_is_remembered_only_for_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "REMEMBERED", timedelta(seconds=-60))  # too old as soon as it is there
    monkeypatch.setattr(controller, "_FORGET_EVERY", 0.0)
    plane = Plane(tmp_path)
    plane.start()
    plane.set_up()
    demo = plane.caller()
    first = plane.operations.addresses.allocate(demo, "public", "key")

    def known() -> bool:
        with plane.store.read() as tx:
            return tx.memory.recall(demo.project.id, "key") is not None

    eventually(lambda: not known())
    assert plane.operations.addresses.allocate(demo, "public", "key").id != first.id
    plane.stop()
