"""What every guest driver does: a test class subclasses `GuestsContract` and says which driver it is.

Guests must have an image `web` that answers HTTP with the instance's name and echoes TCP on port 7.
"""

import json
import os
import random
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from mooring.agent.interfaces import GuestFailure, Guests
from mooring.model.ids import InstanceId
from mooring.model.subjects import InjectedAddress, InstanceIntent
from tests.guests.host import GATEWAY, Host, eventually

many = pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.slow)])


class GuestsContract:
    driver: ClassVar[str]  # module:class, which takes the host's namespace and a directory
    longest_start: ClassVar[float]  # seconds; kills fall into it
    most_kills: ClassVar[int] = 60  # less where a guest takes long to come up

    @abstractmethod
    def build(self, host: Host, run_dir: Path) -> Guests:
        """A driver as an agent that starts would build it."""

    @abstractmethod
    def remains(self, guest: InstanceId) -> list[str]:
        """All that the machine still has of a guest, but its ports."""

    @abstractmethod
    def murder(self, guest: InstanceId) -> None:
        """End a guest behind its driver's back."""

    def agent_directory(self, run_dir: Path) -> Path:
        """Where `build` lets the driver keep its files."""
        return run_dir / "guests"

    @pytest.fixture
    def guests(self, host: Host, run_dir: Path) -> Iterator[Guests]:
        driver = self.build(host, run_dir)
        yield driver
        for guest in driver.list():
            driver.stop(guest)

    # ------------------------------------------------------------------------------------------------------ start

    def test_a_guest_gets_its_address_by_dhcp_and_answers(self, host: Host, guests: Guests) -> None:
        guest = host.guest("web-1")
        assert not host.has_carrier(guest.nics[0])
        guests.start(guest)
        assert "web-1" in host.answers(guest.nics[0])
        assert host.has_carrier(guest.nics[0])
        assert f"DHCPACK(br0) {host.address(guest.nics[0])} {guest.nics[0].mac}" in host.dhcp_log
        assert guests.list() == (guest.id,)

    def test_an_injected_address_needs_no_dhcp_server(self, host: Host, guests: Guests) -> None:
        made = host.guest("flat", nics=2)
        first, second = made.nics
        host.serve_no_longer()
        flat = InjectedAddress(
            IPv4Interface(f"{host.address(first)}/24"),
            IPv4Address(GATEWAY),
            (IPv4Address("9.9.9.9"), IPv4Address("149.112.112.112")),
            "flat-1",
        )
        guest = replace(made, nics=(replace(first, injected=flat), second))
        guests.start(guest)
        assert host.answers(first).splitlines() == [
            "instance   flat",
            "hostname   flat-1",
            f"addresses  {host.address(first)}/24",
            f"you are    {GATEWAY}",
        ]
        assert host.http(second) == ""
        host.serve()
        assert host.answers(second)
        assert f"DHCPDISCOVER(br0) {first.mac}" not in host.dhcp_log

    def test_an_injected_address_survives_a_port_made_anew(self, host: Host, guests: Guests) -> None:
        made = host.guest()
        host.serve_no_longer()
        flat = InjectedAddress(IPv4Interface(f"{host.address(made.nics[0])}/24"))
        guest = replace(made, nics=(replace(made.nics[0], injected=flat),))
        guests.start(guest)
        host.answers(guest.nics[0])
        host.unwire(guest.nics[0])
        host.wire(guest.nics[0])
        guests.start(guest)
        assert host.answers(guest.nics[0])

    def test_a_guest_waits_for_the_dhcp_server(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        host.serve_no_longer()
        guests.start(guest)
        time.sleep(1.5)
        host.serve()
        assert host.answers(guest.nics[0])

    def test_starting_a_running_guest_leaves_it_alone(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        with host.talk(guest.nics[0]) as talk:
            assert talk.echoes("before")
            guests.start(guest)
            guests.start(replace(guest, generation=2))
            assert talk.echoes("after")
        assert host.dhcp_log.count("DHCPDISCOVER") == 1

    def test_a_guest_begins_anew_for_another_number_of_boots(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        again = replace(guest, generation=2, boots=1)
        guests.start(again)
        assert eventually(lambda: host.dhcp_log.count("DHCPDISCOVER") == 2)
        assert host.answers(guest.nics[0])
        assert guests.list() == (guest.id,)
        with host.talk(guest.nics[0]) as talk:
            # Whoever comes later sees for which number it runs.
            self.build(host, run_dir).start(replace(again, generation=3))
            assert talk.echoes("before")
        assert host.dhcp_log.count("DHCPDISCOVER") == 2

    def test_an_unknown_image_is_named(self, host: Host, guests: Guests) -> None:
        guest = host.guest(image="tofu")
        with pytest.raises(GuestFailure, match="tofu"):
            guests.start(guest)
        assert guests.list() == ()
        assert self.remains(guest.id) == []

    def test_a_missing_port_is_named_and_waited_for(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        host.unwire(guest.nics[1])
        with pytest.raises(GuestFailure, match=guest.nics[1].id):
            guests.start(guest)
        assert guests.list() == ()
        host.wire(guest.nics[1])
        guests.start(guest)
        assert host.answers(guest.nics[0])
        assert host.has_carrier(guest.nics[1])

    def test_what_is_no_id_is_refused(self, host: Host, guests: Guests) -> None:
        for text in ("", "..", "../x", "a\n"):
            with pytest.raises(GuestFailure, match="not the id"):
                guests.stop(InstanceId(text))
            with pytest.raises(GuestFailure, match="not the id"):
                guests.start(InstanceIntent(InstanceId(text), 1, "x", "web", ()))

    @pytest.mark.parametrize("name", ["$(reboot)`reboot`'\"; reboot", "two\nlines\0 \x1b[31m", "-rf", "naïve ☃", ""])
    def test_a_name_is_only_ever_text(self, host: Host, guests: Guests, name: str) -> None:
        guest = host.guest(name)
        guests.start(guest)
        said = host.answers(guest.nics[0])
        assert "".join(letter for letter in name if letter.isprintable()) in said
        assert "\x1b" not in said

    # ------------------------------------------------------------------------------------------------------- stop

    def test_a_stopped_guest_leaves_only_its_ports_without_carrier(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        guests.start(guest)
        host.answers(guest.nics[0])
        guests.stop(guest.id)
        assert guests.list() == ()
        assert self.remains(guest.id) == []
        for nic in guest.nics:
            assert host.is_waiting(nic)

    def test_stopping_what_is_not_there_does_nothing(self, host: Host, guests: Guests) -> None:
        stranger = InstanceId(str(uuid4()))
        guests.stop(stranger)
        assert self.remains(stranger) == []
        guest = host.guest()
        guests.start(guest)
        guests.stop(guest.id)
        guests.stop(guest.id)
        assert guests.list() == ()

    def test_a_stopped_guest_starts_again(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        for _ in range(2):
            guests.start(guest)
            assert host.answers(guest.nics[0])
            guests.stop(guest.id)
            assert host.http(guest.nics[0]) == ""

    def test_a_guest_stops_though_its_ports_are_gone(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.unwire(guest.nics[0])
        guests.stop(guest.id)
        assert self.remains(guest.id) == []

    # ------------------------------------------------------------------------------------------------------- list

    def test_the_list_is_sorted_and_each_stop_takes_one(self, host: Host, guests: Guests) -> None:
        made = [host.guest(f"web-{n}") for n in range(3)]
        for guest in made:
            guests.start(guest)
        ids = sorted(guest.id for guest in made)
        assert guests.list() == tuple(ids)
        guests.stop(ids[1])
        assert guests.list() == (ids[0], ids[2])

    def test_a_guest_that_died_is_not_listed_and_starts_again(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        self.murder(guest.id)
        assert eventually(lambda: guests.list() == ())
        guests.start(guest)
        assert host.answers(guest.nics[0])
        assert guests.list() == (guest.id,)

    def test_a_guest_that_died_is_stopped_whole(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        self.murder(guest.id)
        guests.stop(guest.id)
        assert self.remains(guest.id) == []
        assert not host.has_carrier(guest.nics[0])

    def test_two_hosts_on_one_machine_do_not_see_each_other(self, host: Host, guests: Guests, run_dir: Path) -> None:
        (run_dir / "other").mkdir()
        other = host.another(run_dir / "other")
        other.up()
        try:
            others = self.build(other, run_dir / "other")
            here, there = host.guest("here"), other.guest("there")
            guests.start(here)
            others.start(there)
            assert (guests.list(), others.list()) == ((here.id,), (there.id,))
            with pytest.raises(GuestFailure, match="another agent"):
                guests.stop(there.id)
            assert "there" in other.answers(there.nics[0])
            others.stop(there.id)
            assert "here" in host.answers(here.nics[0])
        finally:
            other.down()

    # --------------------------------------------------------------------------------------------------- plugging

    def test_a_port_that_was_made_anew_is_plugged_again(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        guests.start(guest)
        host.answers(guest.nics[0])
        host.answers(guest.nics[1])
        with host.talk(guest.nics[1]) as talk:
            assert talk.echoes("before")
            host.unwire(guest.nics[0])
            assert eventually(lambda: host.http(guest.nics[0]) == "")
            host.wire(guest.nics[0])
            guests.start(guest)
            assert host.answers(guest.nics[0])
            assert talk.echoes("after"), "the other NIC must not notice, nor what runs in the guest"

    # -------------------------------------------------------------------------------------------- agents come and go

    def test_guests_outlive_their_agent(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        self.agent(host, run_dir, "start", guest)
        assert host.answers(guest.nics[0])
        with host.talk(guest.nics[0]) as talk:
            assert talk.echoes("the agent that started it is gone")
            assert guests.list() == (guest.id,)
            guests.start(guest)
            assert talk.echoes("another one has it now")
        guests.stop(guest.id)
        assert self.remains(guest.id) == []

    @many
    def test_start_killed_at_any_moment_is_completed(
        self, host: Host, guests: Guests, run_dir: Path, kills: int
    ) -> None:
        chance = random.Random(7)
        for _ in range(min(kills, self.most_kills)):
            guest = host.guest()
            if self.agent(host, run_dir, "start", guest, kill_after=chance.uniform(0, self.longest_start)):
                assert guests.list() == (guest.id,)
            assert guests.list() in {(), (guest.id,)}
            guests.start(guest)
            assert guests.list() == (guest.id,)
            assert host.answers(guest.nics[0])
            guests.stop(guest.id)
            assert self.remains(guest.id) == []

    @many
    def test_start_killed_at_any_moment_is_undone_by_stop(
        self, host: Host, guests: Guests, run_dir: Path, kills: int
    ) -> None:
        chance = random.Random(8)
        for _ in range(min(kills, self.most_kills)):
            guest = host.guest()
            self.agent(host, run_dir, "start", guest, kill_after=chance.uniform(0, self.longest_start))
            guests.stop(guest.id)
            assert guests.list() == ()
            assert self.remains(guest.id) == []
            assert host.is_waiting(guest.nics[0])

    @many
    def test_stop_killed_at_any_moment_is_completed(
        self, host: Host, guests: Guests, run_dir: Path, kills: int
    ) -> None:
        chance = random.Random(9)
        for _ in range(min(kills, self.most_kills)):
            guest = host.guest()
            guests.start(guest)
            self.agent(host, run_dir, "stop", guest, kill_after=chance.uniform(0, self.longest_start / 3))
            guests.stop(guest.id)
            assert guests.list() == ()
            assert self.remains(guest.id) == []
            assert not host.has_carrier(guest.nics[0])

    def test_many_threads_on_one_guest_make_one_guest(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        with ThreadPoolExecutor(max_workers=4) as threads:
            for outcome in [threads.submit(guests.start, guest) for _ in range(4)]:
                outcome.result()
            assert host.answers(guest.nics[0])
            assert host.dhcp_log.count("DHCPDISCOVER") == 1
            for outcome in [threads.submit(guests.stop, guest.id) for _ in range(4)]:
                outcome.result()
        assert self.remains(guest.id) == []

    def agent(
        self, host: Host, run_dir: Path, verb: str, guest: InstanceIntent, kill_after: float | None = None
    ) -> bool:
        """Let an agent work on a guest, kill -9 it after so many seconds, and say whether it came to its end before."""
        argv = [
            sys.executable,
            str(Path(__file__).with_name("agent.py")),
            self.driver,
            host.name,
            str(self.agent_directory(run_dir)),
            verb,
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asdict(guest)))
            process.stdin.close()
            assert process.stdout.readline() == "ready\n"
            if kill_after is not None:
                time.sleep(kill_after)
                process.kill()
            ended = process.stdout.read() == "done\n"
        assert ended or kill_after is not None, "the agent failed, see above"
        return ended
