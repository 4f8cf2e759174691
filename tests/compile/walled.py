"""The small host with filtered ports: who may speak to whom is said by three security groups."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st

from mooring.model.ids import GroupId
from mooring.model.subjects import MAX_GROUPS, Direction, FilterRule, GroupIntent, NicFilter
from tests.compile.small import small
from tests.strategies import Cloud, uuid

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
IN, OUT = Direction.INGRESS, Direction.EGRESS

ANYTHING = tuple(FilterRule(way, family) for way in Direction for family in (4, 6))
"""What a group says that keeps nothing out."""

OUTWARD = tuple(FilterRule(OUT, family) for family in (4, 6))


def group(number: int, *rules: FilterRule) -> GroupIntent:
    """Return a security group."""
    return GroupIntent(GroupId(uuid("e", number)), 1, number, rules)


def own(number: int) -> GroupIntent:
    """Return a group as projects have it by default: its members send to everybody, and receive from each other."""
    return group(number, *OUTWARD, *(FilterRule(IN, family, remote_group=number) for family in (4, 6)))


OPEN, OWN, WEB = group(1, *ANYTHING), own(2), group(3, FilterRule(IN, 4, TCP, 80, 81), FilterRule(IN, 4, ICMP))

RICH = group(
    4,
    *OUTWARD,
    FilterRule(IN, 4, TCP, 22, 22, IPv4Network("10.0.1.0/24")),
    FilterRule(IN, 4, TCP, 20, 30, IPv4Network("10.0.0.0/16")),
    FilterRule(IN, 4, None, remote_prefix=IPv4Network("10.0.2.0/24")),
    FilterRule(IN, 4, UDP, 53, 53, remote_group=2),
    FilterRule(IN, 6, TCP, 22, 22, IPv6Network("2001:db8::/32")),
    FilterRule(IN, 6, ICMP6, 128 << 8, (128 << 8) + 255),
    FilterRule(OUT, 4, UDP, 53, 53, remote_group=3),
)
"""Rules of all kinds, some within others."""


def walled(*groups: GroupIntent, members: tuple[tuple[int, ...], ...] = ((2,), (2, 3), (4,), ())) -> Cloud:
    """Return the small cloud with a filter on each port; `members` are the groups of Alice, Bob, Carol and Dave."""
    cloud = small()
    networks = tuple(replace(network, zone=number + 1) for number, network in enumerate(cloud.networks))
    nics = tuple(replace(nic, filter=NicFilter(mine)) for nic, mine in zip(cloud.nics, members, strict=True))
    return replace(cloud, networks=networks, nics=nics, groups=groups or (OPEN, OWN, WEB, RICH))


_RULES = st.builds(
    FilterRule,
    direction=st.sampled_from(Direction),
    family=st.just(4),
    protocol=st.sampled_from([TCP, UDP]),
    first=st.integers(1, 50),
    last=st.integers(50, 100),
    remote_prefix=st.sampled_from([None, IPv4Network("10.0.0.0/8"), IPv4Network("10.0.1.0/24")]),
) | st.builds(
    FilterRule,
    direction=st.sampled_from(Direction),
    family=st.sampled_from([4, 6]),
    protocol=st.sampled_from([None, ICMP, 47]),
    remote_group=st.sampled_from([None, 1, 2, 3, 99]),
)


@st.composite
def walls(draw: st.DrawFn) -> Cloud:
    """Draw the small cloud with other groups and members, some of its ports without a filter."""
    numbers = sorted(draw(st.sets(st.integers(1, 4))))
    groups = [group(number, *draw(st.lists(_RULES, max_size=6))) for number in numbers]
    some = st.sets(st.integers(1, 5), max_size=4) | st.just(set(range(1, MAX_GROUPS + 1)))
    members = tuple(tuple(sorted(draw(some))) for _ in range(4))
    bare = draw(st.sets(st.integers(0, 3), max_size=2))
    cloud = walled(*groups or (group(5),), members=members)
    nics = (replace(nic, filter=None) if at in bare else nic for at, nic in enumerate(cloud.nics))
    return replace(cloud, nics=tuple(nics))
