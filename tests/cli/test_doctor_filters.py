"""`mooring doctor` about guests' filters: whether rules see what bridges forward, and whether the host's own firewall drops it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.cli.doctor import filters, trial
from mooring.cli.doctor.check import Finding, Verdict, carry_out

DOCKERS = """
table ip filter {
    chain DOCKER-USER {
        counter return
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
    }
}
"""
DROPPING = {
    "Docker: ip filter FORWARD": (DOCKERS, "iptables -I DOCKER-USER -i mb+ -o mb+ -j ACCEPT"),
    "ip6 filter FORWARD": (
        "table ip6 filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
        "ip6tables -I FORWARD -i mb+ -o mb+ -j ACCEPT",
    ),
    "inet firewalld filter_FORWARD": (
        """table inet firewalld {
            chain filter_FORWARD {
                type filter hook forward priority filter + 10; policy accept;
                ct state established accept
                reject with icmpx admin-prohibited
            }
        }""",
        'nft insert rule inet firewalld filter_FORWARD iifname "mb*" oifname "mb*" accept',
    ),
}
PASSING = (
    "table inet mooring { chain passing { type filter hook forward priority 0; policy drop; }; }",
    "table bridge filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
    "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }",
    "table ip filter { chain FORWARD { type filter hook forward priority 0; ip daddr 192.0.2.1 drop; }; }",
)


@pytest.fixture
def doctored() -> Iterator[str]:
    """A namespace that plays the host."""
    subprocess.run(["ip", "netns", "add", "doctored"], check=True, timeout=10)
    yield "doctored"
    subprocess.run(["ip", "netns", "delete", "doctored"], check=True, timeout=10)


def _host(tmp_path: Path, namespace: str) -> Path:
    file = tmp_path / "host.toml"
    file.write_text(f'[host]\nnamespace = "{namespace}"\n')
    return file


def _firewall(tmp_path: Path) -> Finding:
    _, check = filters.checks(_host(tmp_path, "doctored"))
    assert check.name == "the host's own firewall"
    return carry_out(check)


def _nft(*command: str) -> None:
    subprocess.run(["nsenter", "--net=/run/netns/doctored", "nft", *command], check=True, timeout=10)


@pytest.mark.kernel
@pytest.mark.usefixtures("doctored")
@pytest.mark.parametrize("where", DROPPING)
def test_a_firewall_that_drops_what_is_bridged_is_told_with_what_to_do(tmp_path: Path, where: str) -> None:
    rules, remedy = DROPPING[where]
    assert _firewall(tmp_path).verdict is Verdict.OK
    _nft(rules)
    found = _firewall(tmp_path)
    assert (found.verdict, found.found) == (Verdict.LIMITED, f"it drops what bridges forward, in {where}")
    assert f"`{remedy}`" in found.cost
    # What is advised helps: iptables makes such a rule, too.
    _nft(*remedy.split(" ")[1:]) if remedy.startswith("nft") else _nft(
        f'insert rule {"ip6" if "ip6" in remedy else "ip"} filter {remedy.split(" ")[2]} iifname "mb*" oifname "mb*" counter accept'
    )
    assert _firewall(tmp_path).verdict is Verdict.OK


@pytest.mark.kernel
@pytest.mark.usefixtures("doctored")
def test_a_firewall_that_lets_it_pass_is_left_in_peace(tmp_path: Path) -> None:
    for rules in PASSING:
        _nft("flush ruleset")
        _nft(rules)
        assert _firewall(tmp_path).verdict is Verdict.OK, rules


@pytest.mark.kernel
@pytest.mark.usefixtures("doctored")
def test_a_firewall_of_iptables_first_kind_is_asked_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nft does not list its rules, and not every kernel still has it: a program plays it."""
    names, program, searched = tmp_path / "names", tmp_path / "iptables-legacy", trial.search_path()
    monkeypatch.setattr(filters, "_OLD_TABLES", str(names))
    monkeypatch.setattr(trial, "search_path", lambda: f"{tmp_path}:{searched}")

    def says(*rules: str) -> Finding:
        program.write_text(f"#!/bin/sh\ncat <<END\n{chr(10).join(rules)}\nEND\n")
        program.chmod(0o755)
        return _firewall(tmp_path)

    names.write_text("nat\n")
    assert says("-P FORWARD DROP").verdict is Verdict.OK  # it would be made by the question
    names.write_text("nat\nfilter\n")
    assert says("-P INPUT DROP", "-P FORWARD ACCEPT").verdict is Verdict.OK
    found = says("-P INPUT ACCEPT", "-P FORWARD DROP")
    assert (found.verdict, found.found) == (Verdict.LIMITED, "it drops what bridges forward, in ip filter FORWARD")
    assert says("-P FORWARD DROP", "-A FORWARD -i mb+ -o mb+ -j ACCEPT").verdict is Verdict.OK
    program.write_text("#!/bin/sh\necho 'no rights' >&2\nexit 1\n")
    assert (_firewall(tmp_path).verdict, "no rights" in _firewall(tmp_path).found) == (Verdict.MISSING, True)


@pytest.mark.kernel
@pytest.mark.usefixtures("doctored")
def test_a_namespace_that_is_not_there_has_a_firewall_that_is_not_known(tmp_path: Path) -> None:
    _, check = filters.checks(_host(tmp_path, "nowhere"))
    found = carry_out(check)
    assert found.verdict is Verdict.MISSING
    assert "not known" in found.cost


@pytest.mark.kernel
def test_a_kernel_that_shows_rules_nothing_of_bridges_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = filters._BRIDGED
    monkeypatch.setattr(filters, "_BRIDGED", whole.replace("bridge-nf-call-iptables", "no-such-setting"))
    check, _ = filters.checks(None)
    found = carry_out(check)
    assert (found.name, found.verdict, found.needed) == ("bridge filtering", Verdict.MISSING, True)
    assert found.found == "this kernel shows rules nothing of what bridges forward"
    assert "modprobe br_netfilter" in found.cost
    # It has the setting, and its rules see nothing all the same.
    blind = "sysctl -qw net.bridge.bridge-nf-call-iptables=0; ip link add b0 type bridge; #"
    monkeypatch.setattr(filters, "_BRIDGED", whole.replace("ip link add b0 type bridge", blind))
    assert carry_out(check).found == "no rule sees what is bridged"
    file = tmp_path / "unfiltered.toml"
    file.write_text("[networks]\nfilters = false\n")
    check, _ = filters.checks(file)
    assert not check.needed
