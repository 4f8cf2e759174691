"""Messages survive the way there and back, and newer ones are refused loudly."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

import pytest

from mooring.bus.messages import (
    Remote,
    Request,
    UnknownVersion,
    answer,
    ask,
    decode_reply,
    decode_request,
    dump_digest,
    dump_placements,
    dump_reports,
    encode_request,
    load_digest,
    load_placements,
    load_reports,
)
from mooring.model.faults import NotFound, Unavailable
from mooring.model.ids import GroupId, InstanceId, NetworkId, NicId, RouterId, UplinkId
from mooring.model.subjects import (
    Digest,
    DigestEntry,
    Direction,
    Egress,
    EgressPreference,
    FilterRule,
    GroupIntent,
    GuestNic,
    HostRole,
    InstanceIntent,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    Placement,
    PublicAddress,
    Report,
    RouterIntent,
    RouterPort,
    RouterUplink,
    SubjectKey,
    SubjectKind,
    WayOut,
)

_PUBLIC = PublicAddress(IPv4Address("198.51.100.9"), UplinkId("u"))
_WAY = WayOut(_PUBLIC.address, _PUBLIC.uplink, 7)
_PREFERENCES = (
    EgressPreference(IPv4Network("0.0.0.0/0"), _WAY),
    EgressPreference(IPv4Network("192.0.2.0/24"), _WAY, WayOut(IPv4Address("203.0.113.9"), UplinkId("v"), 8)),
)
_SUBJECTS = (
    NetworkIntent(NetworkId("n"), 3, 1500),
    RouterIntent(
        RouterId("r"),
        4,
        (RouterPort(NetworkId("n"), "m", IPv4Interface("10.0.0.1/24"), (IPv4Address("9.9.9.9"),), 1500, 60),),
        (
            RouterUplink(
                UplinkId("u"),
                "ext0",
                "m",
                IPv4Interface("198.51.100.2/24"),
                IPv4Address("198.51.100.1"),
                (IPv4Network("198.51.100.0/24"),),
                (),
            ),
        ),
    ),
    NicIntent(
        NicId("c"),
        5,
        NetworkId("n"),
        RouterId("r"),
        "m",
        "h",
        (NicAddress(IPv4Address("10.0.0.2"), (_PUBLIC,), Egress(3, _PREFERENCES, 1)),),
        (_PUBLIC,),
    ),
    NicIntent(
        NicId("c"),
        6,
        NetworkId("n"),
        None,
        "m",
        "h",
        (NicAddress(IPv4Address("10.0.0.2")),),
        filter=NicFilter((1, 7), (IPv4Address("10.0.0.9"), IPv6Address("2001:db8::9"))),
    ),
    GroupIntent(
        GroupId("g"),
        7,
        11,
        (
            FilterRule(Direction.EGRESS, 6),
            FilterRule(Direction.INGRESS, 4, 6, 22, 23, IPv4Network("192.0.2.0/24")),
            FilterRule(Direction.INGRESS, 6, 17, remote_prefix=IPv6Network("2001:db8::/64")),
            FilterRule(Direction.INGRESS, 4, 1, 0x0800, 0x08FF, remote_group=11),
        ),
    ),
    InstanceIntent(InstanceId("i"), 6, "web", "image", (GuestNic(NicId("c"), NetworkId("n"), "m", 1500),)),
)


@pytest.mark.parametrize("subject", _SUBJECTS, ids=lambda subject: type(subject).__name__)
@pytest.mark.parametrize("role", list(HostRole))
def test_placements_survive(subject: object, role: HostRole) -> None:
    assert isinstance(subject, NetworkIntent | RouterIntent | NicIntent | InstanceIntent | GroupIntent)
    placed = [Placement(subject.key, subject.generation, role, subject), Placement(subject.key, 9, role, None)]
    message = answer(lambda _: dump_placements(placed), ask())
    assert load_placements(decode_reply(message)) == placed


def test_digests_and_reports_survive() -> None:
    key = SubjectKey(SubjectKind.NIC, "c")
    entries = [DigestEntry(key, HostRole.GATEWAY, 7, present=False)]
    digest = Digest(7, tuple(entries))
    assert load_digest(dump_digest(digest)) == digest
    reports = [Report(key, HostRole.COMPUTE, 7, "because"), Report(key, HostRole.COMPUTE, 8)]
    assert load_reports(dump_reports(reports)) == reports


def test_a_newer_version_is_refused_on_both_sides() -> None:
    newer = encode_request(Request(version=99))
    with pytest.raises(UnknownVersion, match="99"):
        decode_request(newer)
    with pytest.raises(Unavailable, match="99"):
        decode_reply(answer(lambda _: None, newer))


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b'{"version": "one"}', b"\xff"])
def test_what_is_no_request_is_refused(message: bytes) -> None:
    with pytest.raises(UnknownVersion):
        decode_request(message)


def test_faults_arrive_as_what_they_were() -> None:
    def fails(_request: Request) -> None:
        raise NotFound("Instance", "i")

    with pytest.raises(Remote, match="could not be found") as caught:
        decode_reply(answer(fails, ask()))
    assert caught.value.kind is NotFound

    def away(_request: Request) -> None:
        raise Unavailable("database away", detail="secret")

    reply = answer(away, ask())
    assert b"secret" not in reply
    with pytest.raises(Unavailable, match="database away"):
        decode_reply(reply)
