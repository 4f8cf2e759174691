"""Rules of security groups: what may be written, what it means, and which two say the same."""

from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model.faults import Invalid
from mooring.model.groups import GroupRule
from mooring.model.ids import GroupId, RuleId
from mooring.model.subjects import Direction, FilterRule
from mooring.policy.rules import PROTOCOLS, NewRule, checked_flows, filter_rule, meaning, protocol_name

IN = Direction.INGRESS


def rule(new: NewRule, remote: str | None = None) -> GroupRule:
    flows = checked_flows(new)
    return GroupRule(
        RuleId("r"),
        GroupId("g"),
        flows.direction,
        flows.family,
        flows.protocol,
        flows.first,
        flows.last,
        flows.prefix,
        GroupId(remote) if remote is not None else None,
    )


@pytest.mark.parametrize("written", ["tcp", "TCP", "Tcp", " tcp ", "6", 6])
def test_a_protocol_is_one_however_it_is_written(written: Any) -> None:
    assert rule(NewRule(protocol=written)).protocol == 6


@pytest.mark.parametrize("written", [None, "", "any", "ANY", "-1", -1])
def test_any_protocol(written: Any) -> None:
    assert filter_rule(rule(NewRule(protocol=written)), None) == FilterRule(IN, 4)


@pytest.mark.parametrize("number", sorted(set(PROTOCOLS.values())))
def test_a_protocol_is_shown_by_a_name_that_is_understood(number: int) -> None:
    assert rule(NewRule(family=6, protocol=protocol_name(number))).protocol == (58 if number == 1 else number)


def test_a_protocol_without_a_name_is_shown_by_its_number() -> None:
    assert protocol_name(253) == "253"
    assert protocol_name(None) is None


@pytest.mark.parametrize(
    "new, told",
    [
        (NewRule(protocol="udp"), FilterRule(IN, 4, 17)),
        (NewRule(protocol="udp", first=53, last=53), FilterRule(IN, 4, 17, 53, 53)),
        (NewRule(protocol="sctp", first=1, last=65535), FilterRule(IN, 4, 132, 1, 65535)),
        (NewRule(protocol="gre", prefix="10.0.0.0/8"), FilterRule(IN, 4, 47, remote_prefix=IPv4Network("10.0.0.0/8"))),
        (NewRule(prefix="0.0.0.0/0"), FilterRule(IN, 4)),
        (NewRule(prefix="::/0"), FilterRule(IN, 6)),
        (NewRule(prefix="2001:db8::/32"), FilterRule(IN, 6, remote_prefix=ip_network("2001:db8::/32"))),
        (NewRule(protocol="icmp"), FilterRule(IN, 4, 1)),
        (NewRule(protocol="icmp", first=8), FilterRule(IN, 4, 1, 0x0800, 0x08FF)),
        (NewRule(protocol="icmp", first=3, last=4), FilterRule(IN, 4, 1, 0x0304, 0x0304)),
        (NewRule(protocol="icmp", first=0, last=0), FilterRule(IN, 4, 1, 0, 0)),
        (NewRule(protocol="icmp", first=255), FilterRule(IN, 4, 1, 0xFF00, 0xFFFF)),
        (NewRule(family=6, protocol="ICMP", first=128), FilterRule(IN, 6, 58, 0x8000, 0x80FF)),
        (NewRule(Direction.EGRESS, protocol=58, family=6), FilterRule(Direction.EGRESS, 6, 58)),
    ],
)
def test_what_hosts_are_told(new: NewRule, told: FilterRule) -> None:
    assert filter_rule(rule(new), None) == told


@pytest.mark.parametrize(
    "new, field",
    [
        *(
            (NewRule(protocol=wrong), "protocol")
            for wrong in ("tpc", "tcp udp", "256", "0x6", 256, -2, "1e1", "\u0666")
        ),
        (NewRule(family=4, protocol="ipv6-icmp"), "protocol"),
        (NewRule(protocol=58), "protocol"),
        (NewRule(first=22, last=22), "ports"),
        (NewRule(protocol="esp", first=22, last=22), "ports"),
        (NewRule(protocol="tcp", first=22), "ports"),
        (NewRule(protocol="tcp", last=22), "ports"),
        (NewRule(protocol="tcp", first=80, last=22), "ports"),
        (NewRule(protocol="tcp", first=0, last=22), "ports"),
        (NewRule(protocol="tcp", first=22, last=65536), "ports"),
        (NewRule(protocol="icmp", last=3), "icmp"),
        (NewRule(protocol="icmp", first=256), "icmp"),
        (NewRule(protocol="icmp", first=3, last=256), "icmp"),
        (NewRule(protocol="icmp", first=-5), "icmp"),
        (NewRule(protocol="icmp", first=8, last=8, meant="ports"), "ports"),
        (NewRule(protocol="tcp", first=8, last=8, meant="icmp"), "icmp"),
        *(
            (NewRule(prefix=wrong), "remote_prefix")
            for wrong in ("10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "::1/0", "fe80::%eth0/64", "")
        ),
        (NewRule(family=6, prefix="10.0.0.0/8"), "remote_prefix"),
        (NewRule(family=4, prefix="::/0"), "remote_prefix"),
        (NewRule(family=5), "family"),
        (NewRule(prefix="10.0.0.0/8", remote="web"), "remote_group"),
    ],
)
def test_what_cannot_be_is_refused_by_field(new: NewRule, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_flows(new)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "one, other",
    [
        (NewRule(protocol="tcp", first=1, last=2), NewRule(protocol="TCP", first=1, last=2, prefix="0.0.0.0/0")),
        (NewRule(protocol="icmp"), NewRule(protocol="1", family=4)),
        (NewRule(prefix="::/0"), NewRule(family=6)),
        (NewRule(prefix="2001:db8:0::/48"), NewRule(prefix="2001:DB8::/48")),
    ],
)
def test_two_ways_to_say_the_same_mean_the_same(one: NewRule, other: NewRule) -> None:
    assert meaning(rule(one)) == meaning(rule(other))


_RULES = st.builds(
    lambda direction, family, protocol, span, remote: rule(
        NewRule(direction, family, protocol, *(span if protocol in {"tcp", "udp"} else (None, None))), remote
    ),
    st.sampled_from(Direction),
    st.sampled_from((4, 6)),
    st.sampled_from(("tcp", "udp", "icmp", None)),
    st.sampled_from(((None, None), (1, 1), (1, 2))),
    st.sampled_from((None, "a", "b")),
)


@given(_RULES, _RULES)
def test_what_means_the_same_is_told_the_same(one: GroupRule, other: GroupRule) -> None:
    numbers = {None: None, "a": 1, "b": 2}
    same = filter_rule(one, numbers[one.remote]) == filter_rule(other, numbers[other.remote])
    assert (meaning(one) == meaning(other)) is same
