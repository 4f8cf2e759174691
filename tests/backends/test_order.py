"""Steps: what goes, goes from guests inwards; what comes, comes from namespaces outwards."""

from dataclasses import replace

from hypothesis import given

from mooring.backends.order import steps
from mooring.compile.facts import Delta, Stage, diff
from mooring.compile.tables import ADDRESS, DHCP_SERVER, INNER, NAMESPACE
from tests.compile.small import FIRST, small
from tests.strategies import Cloud, clouds

STATE = small().state


def test_everything_comes_from_the_namespace_to_the_ports() -> None:
    stages = [step.stage for step in steps(Delta(STATE, {}))]
    assert stages == sorted(stages)
    assert (stages[0], stages[-1]) == (Stage.NAMESPACE, Stage.PORT)


def test_what_a_namespace_takes_along_is_left_to_it_but_what_reaches_out() -> None:
    found = [step.stage for step in steps(Delta({}, STATE))]
    assert found == [Stage.PORT, Stage.SERVICE, Stage.LINK, Stage.BRIDGE, Stage.NAMESPACE]


def test_elements_of_a_place_are_one_step() -> None:
    delta = diff(small().without(FIRST).state, STATE)
    assert [(step.stage, dict(step.put), dict(step.drop)) for step in steps(delta)] == [
        (Stage.ELEMENT, dict(delta.put), dict(delta.drop))
    ]


def test_what_changes_is_changed_where_it_stands() -> None:
    router = small().routers[0]
    changed = replace(router, ports=(replace(router.ports[0], mtu=1300), *router.ports[1:]))
    found = list(steps(diff(STATE, replace(small(), routers=(changed,)).state)))
    assert [step.stage for step in found] == [Stage.LINK, Stage.SERVICE]
    assert all(step.put.keys() == step.drop.keys() for step in found)
    assert {key.table for step in found for key in step.put} == {INNER, DHCP_SERVER}


@given(clouds(), clouds())
def test_nothing_is_forgotten_and_nothing_is_done_twice(before: Cloud, after: Cloud) -> None:
    delta = diff(before.state, after.state)
    found = list(steps(delta))
    assert sorted(str(key) for step in found for key in step.put) == sorted(str(key) for key in delta.put)
    dropped = [key for step in found for key in step.drop]
    assert len(dropped) == len(set(dropped))
    gone = {key.place for key in delta.drop if key.table == NAMESPACE}
    assert all(key.place in gone for key in delta.drop.keys() - set(dropped))
    assert all(ADDRESS not in {key.table for key in step.drop} or step.stage is Stage.ADDRESS for step in found)
