import os
import signal
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from uuid import uuid4

import pytest

from mooring.agent.interfaces import GuestFailure, Guests
from mooring.guests.netns import IMAGES, NetnsGuests, run_in
from mooring.guests.netns.inits import all_inits, find
from mooring.model.ids import InstanceId, guest_end_name, guest_namespace
from mooring.model.subjects import InjectedAddress, InstanceIntent
from tests.guests.contract import GuestsContract
from tests.guests.host import GATEWAY, Host, eventually

pytestmark = pytest.mark.kernel


def pid_of(guest: InstanceIntent) -> int:
    init = find(guest.id)
    assert init is not None
    return init.pid


def pid_inside(guest: InstanceIntent, program: str) -> str:
    return run_in(guest.id, ["pgrep", "-f", f"busybox {program} "]).stdout.strip()


def name_file(guest: InstanceIntent) -> Path:
    return Path("/run/netns", guest_namespace(guest.id))


def unname(guest: InstanceIntent) -> None:
    subprocess.run(["umount", name_file(guest)], check=True)
    name_file(guest).unlink()


class TestNetns(GuestsContract):
    driver = "mooring.guests.netns:NetnsGuests"
    longest_start = 0.12

    def build(self, host: Host, run_dir: Path) -> Guests:
        return NetnsGuests(host.name, self.agent_directory(run_dir))

    def remains(self, guest: InstanceId) -> list[str]:
        found = [f"process {init.pid}" for init in all_inits() if init.guest == guest]
        found += [str(path) for path in Path("/run/netns").iterdir() if guest in path.name]
        return found + [str(path) for path in Path("/run").glob(f"guests-*/guests/{guest}")]

    def murder(self, guest: InstanceId) -> None:
        init = find(guest)
        assert init is not None
        os.kill(init.pid, signal.SIGKILL)

    # --------------------------------------------------------------------------------------- what a guest looks like

    def test_nics_are_eth0_eth1_in_order_with_their_mac_and_mtu(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=3)
        guests.start(guest)
        for number, nic in enumerate(guest.nics):
            said = run_in(guest.id, ["ip", "-o", "link", "show", f"eth{number}"]).stdout
            assert nic.mac in said
            assert "mtu 1400" in said

    def test_the_first_nic_decides_about_route_names_and_host_name(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        guests.start(guest)
        for nic in guest.nics:
            host.answers(nic)
        assert run_in(guest.id, ["hostname"]).stdout == "host-1\n"
        assert run_in(guest.id, ["ip", "route", "show", "default"]).stdout.startswith(
            f"default via {GATEWAY} dev eth0 "
        )
        said = run_in(guest.id, ["cat", "/etc/resolv.conf"]).stdout
        assert said == f"search guests.test\nnameserver {GATEWAY}\n"

    def test_what_is_injected_is_all_that_dhcp_would_tell(self, host: Host, guests: Guests) -> None:
        made = host.guest()
        flat = InjectedAddress(IPv4Interface("10.9.0.77/24"), IPv4Address(GATEWAY), (IPv4Address("9.9.9.9"),), "flat-1")
        guest = replace(made, nics=(replace(made.nics[0], injected=flat),))
        guests.start(guest)
        eventually(lambda: "9.9.9.9" in run_in(guest.id, ["cat", "/etc/resolv.conf"]).stdout)
        assert run_in(guest.id, ["hostname"]).stdout == "flat-1\n"
        assert run_in(guest.id, ["ip", "route", "show", "default"]).stdout.startswith(
            f"default via {GATEWAY} dev eth0 "
        )
        assert "10.9.0.77/24 brd 10.9.0.255" in run_in(guest.id, ["ip", "address", "show", "eth0"]).stdout

    def test_the_web_page_says_who_is_asked_and_who_asks(self, host: Host, guests: Guests) -> None:
        guest = host.guest("web-1")
        guests.start(guest)
        lines = dict(
            line.split(maxsplit=1) for line in host.answers(guest.nics[0]).replace("you are", "you").splitlines()
        )
        assert lines == {
            "instance": "web-1",
            "hostname": "host-1",
            "addresses": f"{host.address(guest.nics[0])}/24",
            "you": GATEWAY,
        }

    def test_a_bare_guest_has_an_address_and_nothing_more(self, host: Host, guests: Guests) -> None:
        bare = next(image for image in IMAGES if image.name == "bare")
        guest = host.guest(image=bare.id)
        guests.start(guest)
        assert eventually(
            lambda: "bytes from" in host.run("ping", "-c1", "-W1", host.address(guest.nics[0]), check=False)
        )
        assert host.http(guest.nics[0]) == ""

    def test_a_guest_without_nics_runs(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=0)
        guests.start(guest)
        assert guests.list() == (guest.id,)
        assert "lo" in run_in(guest.id, ["ip", "link"]).stdout

    def test_a_lease_is_renewed_without_a_gap(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        with host.talk(guest.nics[0]) as talk:
            assert talk.echoes("before")
            run_in(guest.id, ["pkill", "-USR1", "-f", "busybox udhcpc "])
            eventually(lambda: host.dhcp_log.count("DHCPACK") == 2)
            assert talk.echoes("after")

    def test_a_service_that_dies_comes_back(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        run_in(guest.id, ["pkill", "-KILL", "-f", "busybox (httpd|udhcpc) "])
        assert eventually(lambda: pid_inside(guest, "httpd") and pid_inside(guest, "udhcpc"))
        assert host.answers(guest.nics[0])

    def test_orphans_are_reaped(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        for _ in range(5):
            run_in(guest.id, ["sh", "-c", "(sleep 0.01 &)"])
        eventually(lambda: "sleep 0.01" not in run_in(guest.id, ["ps", "ax"]).stdout)
        assert "defunct" not in run_in(guest.id, ["ps", "ax"]).stdout

    def test_processes_stay_few_however_often_devices_come(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        before = len(run_in(guest.id, ["ps", "ax"]).stdout.splitlines())
        for _ in range(5):
            os.kill(pid_of(guest), signal.SIGUSR1)
        eventually(lambda: len(run_in(guest.id, ["ps", "ax"]).stdout.splitlines()) == before)

    # ------------------------------------------------------------------------------------------ apart from its machine

    def test_a_guest_changes_no_file_of_the_machine(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        before = Path("/etc/resolv.conf").read_text()
        guests.start(guest)
        host.answers(guest.nics[0])
        assert run_in(guest.id, ["touch", str(Path(__file__).with_name("touched"))]).returncode != 0
        assert Path("/etc/resolv.conf").read_text() == before
        assert run_in(guest.id, ["ls", "/run"]).stdout.split() == ["guest"]

    def test_a_guest_sees_only_its_own_processes_and_devices(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        assert run_in(guest.id, ["ls", "/sys/class/net"]).stdout.split() == ["eth0", "lo"]
        assert "pytest" not in run_in(guest.id, ["ps", "axww"]).stdout

    def test_a_guest_does_not_keep_other_namespaces_alive(self, host: Host, guests: Guests) -> None:
        other = Path("/run/netns", f"t-{uuid4().hex[:8]}")
        other.touch()
        subprocess.run(["unshare", f"--net={other}", "true"], check=True)
        host.ip("link", "add", "toother", "type", "veth", "peer", "name", "tohost", "netns", str(other))
        guest = host.guest()
        guests.start(guest)
        subprocess.run(["umount", other], check=True)
        other.unlink()
        eventually(lambda: host.device("toother") is None)

    def test_namespaces_of_others_are_left_alone(self, host: Host, guests: Guests) -> None:
        before = set(Path("/run/netns").iterdir())
        guest = host.guest()
        guests.start(guest)
        assert set(Path("/run/netns").iterdir()) - before == {name_file(guest)}
        guests.stop(guest.id)
        assert set(Path("/run/netns").iterdir()) == before

    # ----------------------------------------------------------------------------------------------------- plugging

    def test_running_processes_do_not_notice_a_port_made_anew(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        before = pid_of(guest), pid_inside(guest, "httpd")
        for _ in range(3):
            host.unwire(guest.nics[0])
            host.wire(guest.nics[0])
            guests.start(guest)
            host.answers(guest.nics[0])
        assert (pid_of(guest), pid_inside(guest, "httpd")) == before
        assert len(pid_inside(guest, "udhcpc").split()) == 1

    def test_a_nic_can_be_added_to_a_running_guest(self, host: Host, guests: Guests) -> None:
        guest, other = host.guest(), host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        guests.start(replace(guest, generation=2, nics=(*guest.nics, *other.nics)))
        assert host.answers(other.nics[0])

    def test_a_nic_keeps_its_name_when_one_before_it_goes(self, host: Host, guests: Guests) -> None:
        guest = host.guest(nics=2)
        guests.start(guest)
        host.answers(guest.nics[1])
        host.unwire(guest.nics[0])
        guests.start(replace(guest, generation=2, nics=guest.nics[1:]))
        assert guest.nics[1].mac in run_in(guest.id, ["ip", "link", "show", "eth1"]).stdout
        assert host.answers(guest.nics[1])

    def test_a_device_that_was_moved_but_not_named_is_completed(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        name_file(guest).touch()
        subprocess.run(["unshare", f"--net={name_file(guest)}", "true"], check=True)
        host.ip("link", "set", guest_end_name(guest.nics[0].id), "netns", str(name_file(guest)))
        guests.start(guest)
        assert host.answers(guest.nics[0])

    def test_a_device_changed_by_hand_is_put_right(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        run_in(guest.id, ["ip", "link", "set", "eth0", "mtu", "1000", "address", "02:00:00:00:00:99"])
        guests.start(guest)
        said = run_in(guest.id, ["ip", "link", "show", "eth0"]).stdout
        assert guest.nics[0].mac in said
        assert "mtu 1400" in said

    def test_what_a_guest_made_itself_is_no_port(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        run_in(guest.id, ["ip", "link", "add", "mine", "type", "dummy"])
        guests.start(guest)
        guests.stop(guest.id)
        assert host.device("mine") is None
        assert self.remains(guest.id) == []

    # ---------------------------------------------------------------------------------------- the kernel is believed

    def test_a_file_left_without_a_namespace_is_no_obstacle(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        name_file(guest).touch()
        assert guests.list() == ()
        guests.start(guest)
        assert host.answers(guest.nics[0])

    def test_a_name_taken_away_by_hand_is_given_back(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        host.answers(guest.nics[0])
        before = pid_of(guest)
        unname(guest)
        assert guests.list() == (guest.id,)
        guests.start(guest)
        assert name_file(guest).is_file()
        assert pid_of(guest) == before
        unname(guest)
        guests.stop(guest.id)
        assert self.remains(guest.id) == []
        assert host.device(guest_end_name(guest.nics[0].id)) is not None

    def test_a_namespace_put_in_the_place_of_the_guest_s_is_removed(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        unname(guest)
        name_file(guest).touch()
        for _ in range(2):  # two mounts on one file
            subprocess.run(["unshare", f"--net={name_file(guest)}", "true"], check=True)
        guests.start(guest)
        assert "eth0" in host.run("nsenter", f"--net={name_file(guest)}", "ip", "link")
        assert host.answers(guest.nics[0])

    def test_a_pid_file_is_only_a_hint(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest, other = host.guest(), host.guest()
        guests.start(guest)
        guests.start(other)
        with subprocess.Popen(["sleep", "100"]) as bystander:
            for text in (str(bystander.pid), str(pid_of(other)), "1", "-1", "0", "x", "", "99999999999"):
                (run_dir / "guests" / guest.id / "pid").write_text(text)
                guests.start(guest)
                assert guests.list() == tuple(sorted((guest.id, other.id)))
            (run_dir / "guests" / guest.id / "pid").write_text(str(bystander.pid))
            guests.stop(guest.id)
            assert bystander.poll() is None
            bystander.kill()
        assert guests.list() == (other.id,)
        assert self.remains(guest.id) == []

    def test_what_only_looks_like_a_guest_is_none(self, host: Host, guests: Guests, run_dir: Path) -> None:
        guest = host.guest()
        guests.start(guest)
        stranger = guest_namespace(InstanceId(str(uuid4())))
        look = ["sh", "-c", "sleep 100; true", "init.sh", stranger, str(run_dir / "guests")]
        deeper = [
            "nsenter",
            f"--target={pid_of(guest)}",
            "--pid",
            "--mount",
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            *look,
        ]
        with subprocess.Popen(look) as outside, subprocess.Popen(deeper) as inside:
            eventually(lambda: stranger in subprocess.check_output(["ps", "axww", "-o", "args"], text=True))
            assert guests.list() == (guest.id,)
            outside.kill()
            inside.kill()

    def test_the_wrong_host_is_not_made(self, host: Host, run_dir: Path) -> None:
        lost = NetnsGuests("t-nowhere", run_dir / "guests")
        guest = host.guest()
        with pytest.raises(GuestFailure):
            lost.start(guest)
        assert not Path("/run/netns/t-nowhere").exists()
        lost.stop(guest.id)
        assert self.remains(guest.id) == []

    def test_why_a_guest_did_not_come_up(
        self, host: Host, guests: Guests, monkeypatch: pytest.MonkeyPatch, run_dir: Path
    ) -> None:
        guest = host.guest()
        launch = "launch.sh"
        (run_dir / launch).write_text(
            (Path(sys.modules[NetnsGuests.__module__].__file__ or "").parent / launch).read_text()
        )
        (run_dir / "init.sh").write_text("echo no luck today >&2; exit 1\n")
        with monkeypatch.context() as patch:
            patch.setattr("mooring.guests.netns.inits.SCRIPTS", run_dir)
            with pytest.raises(GuestFailure, match="no luck today"):
                guests.start(guest)
        assert guests.list() == ()
        guests.start(guest)
        assert host.answers(guest.nics[0])

    # ------------------------------------------------------------------------------------------------------- run_in

    def test_run_in_hands_back_code_and_output(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        done = run_in(guest.id, ["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")

    def test_run_in_kills_what_takes_too_long(self, host: Host, guests: Guests) -> None:
        guest = host.guest()
        guests.start(guest)
        with pytest.raises(subprocess.TimeoutExpired):
            run_in(guest.id, ["sleep", "4242"], timeout=0.2)
        assert "4242" not in run_in(guest.id, ["ps", "ax"]).stdout

    def test_run_in_needs_a_guest(self) -> None:
        with pytest.raises(GuestFailure, match="does not run"):
            run_in(InstanceId(str(uuid4())), ["true"])
