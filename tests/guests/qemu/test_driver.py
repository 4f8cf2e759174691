import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from mooring.agent.interfaces import GuestFailure, Guests
from mooring.guests.netns import NetnsGuests, run_in
from mooring.guests.qemu import Accelerator, QemuGuests
from mooring.guests.qemu.confinement import CONSOLE_LIMIT, user_of
from mooring.guests.qemu.machines import all_machines, find
from mooring.guests.qemu.monitor import talk
from mooring.guests.qemu.taps import open_port
from mooring.model.ids import InstanceId, port_name
from mooring.model.subjects import InjectedAddress, InstanceIntent
from mooring.model.traits import PortKind
from tests.guests.contract import GuestsContract
from tests.guests.host import GATEWAY, Host, eventually
from tests.guests.qemu import vms

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    vms.built()


def pid_of(guest: InstanceIntent) -> int:
    machine = find(guest.id)
    assert machine is not None
    return machine.pid


class TestQemu(GuestsContract):
    driver = "tests.guests.qemu.vms:guests"
    longest_start = 0.2
    most_kills = 15

    quick: ClassVar[frozenset[str]] = frozenset(
        {
            "test_a_guest_gets_its_address_by_dhcp_and_answers",
            "test_an_unknown_image_is_named",
            "test_what_is_no_id_is_refused",
            "test_a_stopped_guest_leaves_only_its_ports_without_carrier",
            "test_a_port_that_was_made_anew_is_plugged_again",
            "test_guests_outlive_their_agent",
            "test_start_killed_at_any_moment_is_undone_by_stop",
            "test_a_vm_and_a_namespace_reach_each_other",
            "test_an_injected_address_needs_no_dhcp_server",
            "test_a_vm_may_do_next_to_nothing",
            "test_a_system_that_was_not_built_is_named",
            "test_what_qemu_refuses_is_handed_on",
            "test_what_only_looks_like_a_vm_is_none",
        }
    )

    @pytest.fixture
    def host(self, run_dir: Path) -> Iterator[Host]:
        made = Host(run_dir, PortKind.TAP, patience=60)
        try:
            made.up()
            yield made
        finally:
            made.down()

    def build(self, host: Host, run_dir: Path) -> Guests:
        return vms.guests(host.name, self.agent_directory(run_dir))

    def remains(self, guest: InstanceId) -> list[str]:
        found = [f"process {machine.pid}" for machine in all_machines() if machine.guest == guest]
        return found + [str(path) for path in Path("/run").glob(f"guests-*/guests/{guest}")]

    def murder(self, guest: InstanceId) -> None:
        machine = find(guest)
        assert machine is not None
        os.kill(machine.pid, signal.SIGKILL)

    def said(self, run_dir: Path, guest: InstanceIntent) -> str:
        return (self.agent_directory(run_dir) / guest.id / "console.log").read_text()

    # -------------------------------------------------------------------------------------------- what a guest is told

    def test_the_web_page_says_who_is_asked_and_who_asks(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest("web-1", image="tiny-vm")
        guests.start(guest)
        assert host.answers(guest.nics[0]).splitlines() == [
            "instance   web-1",
            "hostname   host-1",
            f"addresses  {host.address(guest.nics[0])}/24",
            f"you are    {GATEWAY}",
        ]
        assert self.said(run_dir, guest).startswith("READY ")

    def test_a_bare_guest_has_an_address_and_nothing_more(self, host: Host, guests: Guests) -> None:
        guest = host.guest(image="bare")
        guests.start(guest)
        ping = ("ping", "-c1", "-W1", host.address(guest.nics[0]))
        assert eventually(lambda: "bytes from" in host.run(*ping, check=False), host.patience)
        assert host.http(guest.nics[0]) == ""

    def test_a_guest_without_nics_runs(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest(nics=0)
        guests.start(guest)
        assert guests.list() == (guest.id,)
        eventually(lambda: "READY" in self.said(run_dir, guest), host.patience)

    def test_the_power_button_ends_a_guest(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        directory = os.open(self.agent_directory(run_dir) / guest.id, os.O_RDONLY)
        with talk(directory) as qemu:
            qemu.press_power_button()
        os.close(directory)
        assert eventually(lambda: guests.list() == (), host.patience)

    # ------------------------------------------------------------------------------------------------------- packets

    def test_a_vm_and_a_namespace_reach_each_other(self, host: Host, guests: Guests, run_dir: Path) -> None:
        namespaces = NetnsGuests(host.name, run_dir / "namespaces")
        vm, space = host.guest("vm"), replace(host.guest("space", nics=0), nics=host.guest().nics)
        nic = space.nics[0]
        host.unwire(nic)
        host.ports = PortKind.VETH
        host.wire(nic)
        guests.start(vm)
        namespaces.start(space)
        try:
            host.answers(vm.nics[0])
            assert "space" in host.answers(nic)
            ping = run_in(space.id, ["ping", "-c3", "-i0.2", "-W2", host.address(vm.nics[0])])
            assert "3 received" in ping.stdout
            page = run_in(space.id, ["busybox", "wget", "-q", "-O", "-", f"http://{host.address(vm.nics[0])}/"])
            assert f"you are    {host.address(nic)}" in page.stdout
        finally:
            namespaces.stop(space.id)

    def test_a_vm_and_a_namespace_on_another_host_reach_each_other(
        self, host: Host, guests: Guests, run_dir: Path
    ) -> None:
        (run_dir / "other").mkdir()
        other = Host(run_dir / "other")
        other.up()
        try:
            vm, made = host.guest("vm"), other.guest("space")
            other.serve_no_longer()
            # One network on two hosts: the bridges are joined, as a VLAN or a tunnel would join them.
            host.ip("link", "add", "join", "type", "veth", "peer", "name", "join", "netns", other.name)
            for each in (host, other):
                each.ip("link", "set", "join", "master", "br0", "up")
            other.ip("address", "flush", "dev", "br0")
            namespaces = NetnsGuests(other.name, run_dir / "namespaces")
            flat = InjectedAddress(IPv4Interface("10.9.0.200/24"))
            space = replace(made, nics=(replace(made.nics[0], injected=flat, mac="02:00:00:00:02:00"),))
            guests.start(vm)
            namespaces.start(space)
            host.answers(vm.nics[0])
            page = run_in(space.id, ["busybox", "wget", "-q", "-O", "-", f"http://{host.address(vm.nics[0])}/"])
            assert "you are    10.9.0.200" in page.stdout
            ping = run_in(space.id, ["ping", "-c3", "-i0.2", "-W2", host.address(vm.nics[0])])
            assert "3 received" in ping.stdout
            namespaces.stop(space.id)
        finally:
            other.down()

    def test_frames_of_every_size_pass(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        for again in (False, True):
            if again:  # the header before each frame is the driver's to set then
                host.unwire(guest.nics[0])
                host.wire(guest.nics[0])
                guests.start(guest)
            for size in (0, 100, 1372):  # 1400 with the headers of IP and ICMP
                said = host.run("ping", "-c2", "-i0.2", "-W2", "-M", "do", "-s", str(size), host.address(guest.nics[0]))
                assert "2 received" in said
            with host.talk(guest.nics[0]) as talking:
                assert talking.echoes("x" * 30_000)

    # ------------------------------------------------------------------------------------------------------ plugging

    def test_nics_are_added_and_taken_away(self, host: Host, guests: Guests) -> None:
        guest, other = host.guest(), host.guest()
        both = replace(guest, generation=2, nics=(*guest.nics, *other.nics))
        guests.start(guest)
        host.answers(guest.nics[0])
        with host.talk(guest.nics[0]) as talking:
            assert talking.echoes("one")
            guests.start(both)
            assert host.answers(other.nics[0])
            host.unwire(other.nics[0])
            host.wire(other.nics[0])
            guests.start(both)
            assert host.answers(other.nics[0])
            guests.start(guest)
            assert host.is_waiting(other.nics[0])
            eventually(lambda: host.http(other.nics[0]) == "")
            # The guest must let it go before it can come back.
            eventually(lambda: started(guests, both), host.patience)
            assert host.answers(other.nics[0])
            assert talking.echoes("still one")

    @pytest.mark.parametrize("steps", [1, 2])
    def test_a_nic_whose_agent_died_while_it_plugged_it_in_is_completed(
        self, host: Host, guests: Guests, run_dir: Path, steps: int
    ) -> None:
        guest, other = host.guest(), host.guest()
        guests.start(guest)
        name = port_name(other.nics[0].id)
        tap = open_port(host.name, other.nics[0].id)
        directory = os.open(self.agent_directory(run_dir) / guest.id, os.O_RDONLY)
        with talk(directory) as qemu:
            qemu._ask("getfd", {"fdname": name}, tap)
            if steps > 1:
                qemu._ask("netdev_add", {"type": "tap", "id": f"tap-{name}", "fd": name})
        os.close(directory)
        os.close(tap)
        guests.start(replace(guest, generation=2, nics=(*guest.nics, *other.nics)))
        assert host.answers(other.nics[0])

    def test_two_ports_made_anew_are_not_mixed_up(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        guests.start(guest)
        for nic in guest.nics:
            host.answers(nic)
        for nic in guest.nics:
            host.unwire(nic)
        for nic in reversed(guest.nics):
            host.wire(nic)
        guests.start(guest)
        for nic in guest.nics:
            assert host.answers(nic)

    def test_a_port_that_somebody_else_has_is_named(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        name = port_name(guest.nics[0].id)
        script = (
            "import fcntl, os, struct, sys; f = os.open('/dev/net/tun', os.O_RDWR);"
            f"fcntl.ioctl(f, 0x400454CA, struct.pack('16sH22x', b'{name}', 0x1002)); print('open', flush=True);"
            "sys.stdin.read()"
        )
        argv = ["nsenter", f"--net=/run/netns/{host.name}", "python3", "-c", script]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(GuestFailure, match="another process has it open"):
                guests.start(guest)
            other.kill()
        guests.start(guest)
        assert guests.list() == (guest.id,)

    # ------------------------------------------------------------------------------------------- apart from its machine

    def test_a_vm_may_do_next_to_nothing(self, host: Host, guests: Guests) -> None:
        guest, other = host.guest(nics=0), host.guest(nics=0)
        guests.start(guest)
        guests.start(other)
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid_of(guest)}/status").read_text().splitlines()
            if ":\t" in line
        )
        sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        assert {name: int(status[name], 16) for name in sets} == dict.fromkeys(sets, 0)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        if "4294967295" in Path("/proc/self/uid_map").read_text():  # else there is no other user to be
            assert set(status["Uid"].split()) == {str(user_of(guest.id))}
            assert user_of(guest.id) != user_of(other.id)
        assert Path(f"/proc/{pid_of(guest)}/ns/net").stat().st_ino not in {
            Path(path).stat().st_ino for path in ("/proc/self/ns/net", f"/run/netns/{host.name}")
        }

    def test_a_talkative_console_stays_small(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest(nics=0)
        guests.start(guest)
        eventually(lambda: "READY" in self.said(run_dir, guest), host.patience)
        file = self.agent_directory(run_dir) / guest.id / "console.log"
        # As the guest's own process would, which appends.
        with file.open("a") as console:
            console.write("x" * (CONSOLE_LIMIT // 2 + 1))
        guests.list()
        assert file.stat().st_size == 0
        assert "READY" in file.with_suffix(".log.1").read_text()
        limits = Path(f"/proc/{pid_of(guest)}/limits").read_text()
        assert f"Max file size             {CONSOLE_LIMIT}" in limits

    # ---------------------------------------------------------------------------------------------- what is believed

    def test_files_left_by_the_dead_are_no_obstacle(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        directory = self.agent_directory(run_dir) / guest.id
        directory.mkdir(parents=True)
        (directory / "life").touch()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(directory / "monitor"))
        (directory / "console.log").write_text("of old\n")
        guests.start(guest)
        assert host.answers(guest.nics[0])
        guests.stop(guest.id)
        assert self.remains(guest.id) == []

    def test_one_that_is_coming_is_waited_for(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        directory = self.agent_directory(run_dir) / guest.id
        directory.mkdir(parents=True)
        # A dead agent's launch between fork and exec: the lock is all there is of it.
        script = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('has it', flush=True); time.sleep(1)"
        with subprocess.Popen(
            ["python3", "-c", script, directory / "life"], stdout=subprocess.PIPE, text=True
        ) as coming:
            assert coming.stdout is not None
            assert coming.stdout.readline() == "has it\n"
            guests.start(guest)
            assert coming.wait() == 0
        assert guests.list() == (guest.id,)

    def test_what_only_looks_like_a_vm_is_none(self, host: Host, guests: Guests, run_dir: Path) -> None:
        stranger = str(uuid4())
        look = ["-uuid", stranger, "-add-fd", f"fd=3,set=1,opaque=mooring={self.agent_directory(run_dir)}"]
        with subprocess.Popen(["sh", "-c", "sleep 100; true", "qemu-system-x86_64", *look]) as one:
            with subprocess.Popen(["qemu-system-x86_64", *look], executable="/bin/sleep") as other:
                assert guests.list() == ()
                other.kill()
            one.kill()

    def test_a_system_that_was_not_built_is_named(self, host: Host, run_dir: Path) -> None:
        guest = host.guest()
        empty = QemuGuests(host.name, run_dir / "guests", run_dir / "empty", Accelerator.TCG)
        with pytest.raises(GuestFailure, match=r"python -m mooring\.guests\.image"):
            empty.start(guest)
        assert host.is_waiting(guest.nics[0])

    def test_what_qemu_refuses_is_handed_on(self, host: Host, guests: Guests) -> None:
        good = host.guest()
        bad = replace(good, nics=(replace(good.nics[0], mac="not:a:mac"),))
        with pytest.raises(GuestFailure, match=r"did not start: .*not:a:mac"):
            guests.start(bad)
        assert guests.list() == ()
        assert host.is_waiting(good.nics[0])
        guests.stop(good.id)
        assert self.remains(good.id) == []


def started(guests: Guests, guest: InstanceIntent) -> bool:
    try:
        guests.start(guest)
    except GuestFailure:
        return False
    return True
