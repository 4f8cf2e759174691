"""kill -9 of every process, partitions, a bus that loses messages, hosts that freeze or come back: nothing is lost, and promises are kept.

One laboratory of four hosts for all, on PostgreSQL and NATS, with 500 packets a second in, out and between hosts and a session at 50 Hz.  One
repetition of each here; `make test-slow` does each five times, from other seeds and at other moments.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread

import pytest

from mooring.lab.client import Refused, Thing, fixed
from mooring.lab.laboratory import Laboratory, agent_of
from mooring.lab.plan import Database, Plan
from mooring.lab.traffic import Traffic, flowing
from tests.journeys.field import Field, relayed
from tests.journeys.town import eventually
from tests.journeys.witness import Witness

pytestmark = pytest.mark.kernel

LIVENESS = 10.0
SEEDS = range(1, 6)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with Laboratory(Plan(4, 2, 2, Database.POSTGRESQL), tmp_path_factory.mktemp("lab")) as lab:
        yield Field(lab)


def whole(field: Field, traffic: Traffic) -> None:
    """Nothing was lost, and there was something to lose."""
    assert traffic.whole, f"{traffic}\n{field.last_words()}"
    assert all(count.sent > 20 for count in traffic.counts), str(traffic)


# ------------------------------------------------------------------------------------------------------------- kill -9


def kill_program(field: Field, name: str) -> None:
    field.lab.programs[name].kill()


def kill_dnsmasq(field: Field) -> None:
    found = field.dnsmasqs()
    assert found
    field.lab.run(field.lab.machines[field.gateway].enter("kill", "-9", *map(str, found)))


def kill_gateway_agent(field: Field) -> None:
    kill_program(field, agent_of(field.gateway))


def kill_compute_agent(field: Field) -> None:
    kill_program(field, agent_of(field.host_of(field.guests[2])))


VICTIMS: dict[str, Callable[[Field], None]] = {
    "api": partial(kill_program, name="api"),
    "controller": partial(kill_program, name="controller"),
    "gateway's agent": kill_gateway_agent,
    "compute host's agent": kill_compute_agent,
    "dnsmasq": kill_dnsmasq,
    "nats": partial(kill_program, name="nats"),
    "postgresql": partial(kill_program, name="postgresql"),
}


def survives(field: Field, kills: Sequence[Callable[[Field], None]], seed: int, *, rest: bool = False) -> None:
    """Nothing is lost while these are killed one after the other, and afterwards all that was acknowledged is true.

    With `rest`, each is killed when all is well again; else the next one dies while the former is still on its way back.
    """
    chance = random.Random(seed)
    witness = Witness(field, seed=seed)
    servers = len(field.dnsmasqs())
    with flowing(*field.flows()) as traffic, witness:
        for kill in kills:
            time.sleep(chance.uniform(0.1, 0.5))
            kill(field)
            time.sleep(chance.uniform(0, 0.3))
            field.lab.revive()
            if rest:
                field.sound()
        field.sound()
        time.sleep(0.5)
    whole(field, traffic)
    assert witness.acknowledged
    field.sound()
    eventually(lambda: len(field.dnsmasqs()) == servers)
    witness.check()
    witness.release()


def test_kill_9_of_everything_in_turn(field: Field) -> None:
    survives(field, list(VICTIMS.values()), seed=1)


def test_kill_9_of_everything_at_once(field: Field) -> None:
    survives(field, [all_at_once], seed=2)


def all_at_once(field: Field) -> None:
    # First dnsmasq, which the agent would have started again by then.
    for kill in (kill_dnsmasq, *(kill for kill in VICTIMS.values() if kill is not kill_dnsmasq)):
        with suppress(ProcessLookupError):
            kill(field)


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
def test_kill_9_five_times(field: Field, victim: str) -> None:
    survives(field, [VICTIMS[victim]] * 5, seed=3, rest=True)


@pytest.mark.slow
def test_kill_9_of_everything_at_once_five_times(field: Field) -> None:
    survives(field, [all_at_once] * 5, seed=4, rest=True)


# ------------------------------------------------------------------------------------------ the bus: cut, and not honest


def partition(field: Field, host: str, seconds: float) -> None:
    """What is asked for while a host can't be reached becomes true when it can be again, and no packet knows of it."""
    guest = field.guests[1]
    address = str(field.red.post("floating-ips", {"pool": "public-a"})["address"])
    with flowing(*field.flows()) as traffic:
        field.lab.cut(host, bus_only=True)
        try:
            # It is answered after five seconds although the host can't confirm it: what is promised is that it becomes true.
            promise = Thread(
                target=field.red.put, args=[f"floating-ips/{address}/association", {"instance": guest["id"]}]
            )
            promise.start()
            time.sleep(seconds)
            if host == field.gateway:
                assert not field.lab.answers(field.outside, address, wait=0.3)
            else:
                eventually(lambda: field.lab.answers(field.outside, address))
        finally:
            field.lab.heal(host)
        promise.join()
        eventually(lambda: field.lab.answers(field.outside, address), timeout=30)
        field.sound()
    whole(field, traffic)
    field.red.delete(f"floating-ips/{address}")
    assert not field.lab.answers(field.outside, address, wait=0.3)


def test_a_gateway_cut_off_from_the_bus_and_back(field: Field) -> None:
    partition(field, field.gateway, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 1, 2, 4, LIVENESS + 2])
@pytest.mark.parametrize("which", ["gateway", "compute"])
def test_a_host_cut_off_from_the_bus_and_back(field: Field, which: str, seconds: float) -> None:
    partition(field, field.gateway if which == "gateway" else field.host_of(field.guests[1]), seconds)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 1, 2, 4, 8])
def test_everybody_cut_off_from_the_bus_and_back(field: Field, seconds: float) -> None:
    """Its server says nothing, and nobody's connection ends."""
    witness = Witness(field, seed=int(seconds))
    with flowing(*field.flows()) as traffic, witness:
        time.sleep(0.5)
        field.lab.programs["nats"].pause()
        time.sleep(seconds)
        field.lab.programs["nats"].resume()
        time.sleep(0.5)
        field.sound()
    whole(field, traffic)
    field.sound()
    witness.check()
    witness.release()


def through_a_bad_bus(field: Field, seed: int) -> None:
    """Messages come twice, late, after those that were sent behind them, or never."""
    with relayed(field, seed) as relaying:
        witness = Witness(field, seed=seed)
        with flowing(*field.flows()) as traffic, witness:
            time.sleep(4)
            relaying.be_honest()
            field.sound()
        whole(field, traffic)
        assert witness.acknowledged
        field.sound()
        witness.check()
        witness.release()
    # api, controller and four agents came this way, and all of it has happened.
    assert relaying.did["connections"] >= 6
    assert all(relaying.did.values()), relaying.did
    field.sound()


def test_lost_doubled_and_late_messages(field: Field) -> None:
    through_a_bad_bus(field, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_lost_doubled_and_late_messages_again(field: Field, seed: int) -> None:
    through_a_bad_bus(field, seed)


# ---------------------------------------------------------------------------------- hosts that freeze, and that come back


def small_network(field: Field) -> Thing:
    """A network with five addresses for guests: one that leaks is soon missed."""
    return field.make_network(f"small-{secrets.token_hex(3)}", "10.8.0.0/29")


def small_network_elsewhere(field: Field, host: str) -> Thing:
    """The same with a first guest, and its router on another gateway than this one."""
    for _ in range(3):
        network = small_network(field)
        field.boot("small-0", network["id"])
        if field.gateway_of(network) != host:
            return network
        remove(field, "small-")
        end(field, network)
    raise AssertionError(f"all routers go to {host}")


def holds_five(field: Field, network: Thing) -> None:
    """All five addresses of the small network can be had, each once; then they are given back, and the network goes."""
    guests = [field.red.boot(f"small-{number}", network["id"], wait=0) for number in range(5)]
    settled = [field.red.settled(guest["id"]) for guest in guests]
    assert {fixed(guest) for guest in settled} == {f"10.8.0.{number}" for number in range(2, 7)}
    with pytest.raises(Refused, match="No more addresses"):
        field.red.boot("small-6", network["id"])
    remove(field, "small-")
    end(field, network)


def end(field: Field, network: Thing) -> None:
    """Delete a network, and wait until no host has anything of it."""
    field.admin.delete(f"networks/{network['id']}")
    field.sound()


def remove(field: Field, prefix: str) -> None:
    """Delete the guests whose names begin so."""
    for guest in field.red.all("instances"):
        if guest["name"].startswith(prefix):
            field.red.gone(guest["id"])


def next_host(field: Field) -> str:
    """Return the host that the scheduler takes next, by letting it."""
    guest = field.red.boot("pathfinder", "red-net")
    host = field.host_of(guest)
    field.red.gone(guest["id"])
    return host


def floating_ips_meet(field: Field, there: Thing) -> None:
    """From inside, floating IPs of any pool on any gateway are reached: a guest's own, its neighbour's, and those of another network."""
    near, here = field.guests[1:]
    addresses = {pool: field.red.float_to(there["id"], pool) for pool in ("public-a", "public-b")}
    further = field.red.float_to(here["id"], "public-b")
    for guest in (near, here, there):
        for address in (field.public, further, *addresses.values()):
            eventually(partial(field.lab.answers, field.inside(guest), address), timeout=20)
    for address in (further, *addresses.values()):
        field.red.delete(f"floating-ips/{address}")
        assert not field.lab.answers(field.inside(near), address, wait=0.1)
    assert field.lab.answers(field.inside(here), field.public)


def freeze(field: Field) -> None:
    """A gateway's agent is stopped for longer than hosts may be silent, in the middle of a launch, and goes on where it was."""
    frozen = field.gateway
    # A launch in a network whose router is there could not end without it.
    network = small_network_elsewhere(field, frozen)
    floating_ips_meet(field, next(guest for guest in field.red.all("instances") if guest["name"] == "small-0"))
    while next_host(field) != frozen:
        field.boot("filler", "red-net")
    agent = field.lab.programs[agent_of(frozen)]
    address = str(field.red.post("floating-ips", {"pool": "public-a"})["address"])
    with flowing(*field.flows()) as traffic:
        agent.pause()
        try:
            guest = field.red.boot("small-1", network["id"], wait=0)
            eventually(lambda: field.admin.get(f"instances/{guest['id']}")["host"] is not None)
            assert field.host_of(guest) == frozen
            # Promised to be so, though not now.
            field.red.put(f"floating-ips/{address}/association", {"instance": field.guests[1]["id"]})
            assert not field.lab.answers(field.outside, address, wait=0.3)
            moved = field.red.settled(guest["id"], LIVENESS * 4)
            assert field.host_of(guest) != frozen
        finally:
            agent.resume()
        eventually(lambda: field.lab.answers(field.outside, address), timeout=30)
        field.sound()
    whole(field, traffic)
    field.await_address(moved)
    eventually(lambda: guest["id"] not in field.names_at(frozen))
    field.red.delete(f"floating-ips/{address}")
    remove(field, "filler")
    remove(field, "small-")
    holds_five(field, network)


def test_an_agent_that_is_stopped_and_goes_on(field: Field) -> None:
    freeze(field)


@pytest.mark.slow
@pytest.mark.parametrize("_time", SEEDS)
def test_an_agent_that_is_stopped_and_goes_on_again(field: Field, _time: int) -> None:
    freeze(field)


# Names that only mooring gives, and names that anybody may give.
OURS = "ip link add mb0123456789a type bridge", "ip netns add mooring-r-00000000-0000-4000-8000-000000000000"
STRANGERS = "ip link add br-stranger type bridge", "ip netns add stranger", "nft add table inet stranger"


def comes_back(field: Field) -> None:
    """While its agent was dead, a guest was deleted; somebody made things that look like ours, and things that don't."""
    network = small_network(field)
    guest = field.boot("small-0", network["id"])
    host = field.host_of(guest)
    assert field.gateway_of(network) != host, "then no launch in this network could end without it"
    machine = field.lab.machines[host]
    with flowing(*field.flows()) as traffic:
        field.lab.programs[agent_of(host)].kill()
        # It is answered after a while, although the host confirms nothing.
        deletion = Thread(target=field.red.delete, args=[f"instances/{guest['id']}"])
        deletion.start()
        eventually(lambda: field.admin.get(f"instances/{guest['id']}")["state"] == "deleting")
        for command in (*OURS, *STRANGERS):
            assert not field.lab.run(machine.enter(*command.split()))
        # The guest is still there, and so nobody else is given its address.
        assert guest["id"] in field.names_at(host)
        others = [field.red.boot(f"small-{number}", network["id"], wait=0) for number in range(1, 5)]
        settled = [field.red.settled(other["id"], LIVENESS * 4) for other in others]
        assert len({fixed(guest), *map(fixed, settled)}) == 5
        with pytest.raises(Refused, match="No more addresses"):
            field.red.boot("small-5", network["id"])
        deletion.join()
        field.lab.restart(agent_of(host))
        field.sound()
        eventually(lambda: not [name for name in (guest["id"], *map(name_of, OURS)) if name in field.names_at(host)])
        assert all(name_of(command) in field.names_at(host) for command in STRANGERS)
        # Now it is free again, and the only one.
        assert fixed(field.red.boot("small-6", network["id"])) == fixed(guest)
    whole(field, traffic)
    for command in ("ip link delete br-stranger", "ip netns delete stranger", "nft delete table inet stranger"):
        assert not field.lab.run(machine.enter(*command.split()))
    remove(field, "small-")
    end(field, network)


def name_of(command: str) -> str:
    return next(word for word in command.split() if word.startswith(("mb", "mooring", "br-", "stranger")))


def test_a_host_returns_with_what_is_not_its(field: Field) -> None:
    comes_back(field)


@pytest.mark.slow
@pytest.mark.parametrize("_time", SEEDS)
def test_a_host_returns_with_what_is_not_its_again(field: Field, _time: int) -> None:
    comes_back(field)
