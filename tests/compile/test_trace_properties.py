"""What holds for every packet on every host: nobody but the owner is reached, and nothing private gets out."""

from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import event, given
from hypothesis import strategies as st

from mooring.compile.facts import HostState
from mooring.compile.journey import (
    Entry,
    Event,
    Flow,
    FromGuest,
    FromUplink,
    Header,
    IpProtocol,
    Journey,
    Outcome,
    Packet,
)
from mooring.compile.trace import round_trip, trace, ways_in
from mooring.model.ids import bridge_name, port_name, uplink_name
from mooring.model.subjects import NicFilter, NicIntent, Vxlan
from tests.compile.walled import OPEN, OWN, RICH, WEB
from tests.strategies import (
    ENDPOINT,
    OUTSIDE,
    PEERS,
    Cloud,
    carried,
    clouds,
    forwarding,
    packets,
    preferring,
    provider,
    uplink_id,
)

GOT_THROUGH = {Outcome.DELIVERED, Outcome.LEFT, Outcome.TAKEN}


@st.composite
def tunnelled(draw: st.DrawFn) -> Cloud:
    """Draw a cloud all of whose networks are tunnels, with NICs on this host and on others."""
    cloud: Cloud = draw(clouds(busy=True))
    networks = (replace(net, carrier=Vxlan(number, ENDPOINT)) for number, net in enumerate(cloud.networks, 1))
    nics = tuple(replace(nic, endpoint=draw(st.sampled_from((ENDPOINT, *PEERS)))) for nic in cloud.nics)
    remote = frozenset(nic.id for nic in nics if nic.endpoint in PEERS)
    return replace(cloud, networks=tuple(networks), nics=nics, remote=remote)


@st.composite
def fenced(draw: st.DrawFn) -> Cloud:
    """Draw a cloud most of whose ports are filtered."""
    cloud: Cloud = draw(clouds(busy=True) | carried() | tunnelled())
    groups = (OPEN, OWN, WEB, RICH)
    filters = st.sampled_from((None, (), (1,), (2,), (1, 3), (2, 4), (1, 2, 3, 4)))

    def filtered(nic: NicIntent) -> NicIntent:
        numbers = draw(filters)
        return nic if numbers is None else replace(nic, filter=NicFilter(numbers))

    return replace(
        cloud,
        networks=tuple(replace(network, zone=number) for number, network in enumerate(cloud.networks, 1)),
        nics=tuple(filtered(nic) for nic in cloud.nics),
        foreign=tuple(filtered(nic) for nic in cloud.foreign),
        groups=groups[: draw(st.integers(0, len(groups)))],
    )


@st.composite
def asked(draw) -> tuple[Cloud, Packet]:
    cloud = draw(
        clouds(busy=draw(st.booleans())) | carried() | tunnelled() | fenced() | preferring(max_uplinks=2) | forwarding()
    )
    packet = draw(packets(cloud))
    ports = [None, *(port_name(nic.id) for nic in (*cloud.nics, *cloud.foreign))]
    if isinstance(packet.entry, FromGuest) and (port := draw(st.sampled_from(ports))) is not None:
        packet = replace(packet, entry=replace(packet.entry, port=port))
    return cloud, packet


def check(cloud: Cloud, state: HostState, journey: Journey) -> None:
    """Hold what holds for any journey."""
    header = journey.header
    if journey.outcome is Outcome.LEFT:
        (number,) = (number for number in range(2) if uplink_name(uplink_id(number)) == journey.device)
        assert header.src in provider(number), "only an uplink's own addresses leave there"
        if isinstance(journey.packet.entry, FromGuest):
            faces = {public.address for public in cloud.associations} | owns(cloud)
            assert header.src in faces | {forward.public.address for forward in cloud.forwards}
    if journey.outcome is not Outcome.CARRIED:  # that is answered where the other host sends its answer
        assert (journey.reached is not None) is (journey.outcome in GOT_THROUGH)
    assert (journey.device is not None) is (journey.outcome in {Outcome.DELIVERED, Outcome.LEFT, Outcome.CARRIED})
    assert journey.mac is None or journey.outcome in {Outcome.DELIVERED, Outcome.CARRIED}
    assert [step.event for step in journey.steps].count(Event.ENDED) <= 1
    assert journey.steps, "there is always a reason"
    for step in journey.steps:
        for fact in step.facts:
            assert state[fact.key] == fact.value, "only facts that hold are named"
        for key in step.missing:
            assert key not in state, "only facts that do not hold are missed"
    assert str(journey).endswith("\n")


@given(tunnelled())
def test_a_guest_is_found_on_its_host(cloud):
    """Wherever a tunnel leads, the guest there is meant and no other; and nobody is sought elsewhere who is here."""
    state = cloud.state
    for sender in cloud.nics:
        for receiver in cloud.nics:
            if sender.network != receiver.network or sender == receiver:
                continue
            for source in sender.addresses:
                for target in receiver.addresses:
                    header = Header(IpProtocol.ICMP, source.address, target.address)
                    trip = round_trip(state, Packet(header, FromGuest(sender.network)))
                    event(str(trip.there.outcome))
                    far = receiver.id in cloud.remote
                    assert (trip.there.outcome is Outcome.CARRIED) is far
                    if far:
                        assert trip.there.mac == receiver.mac
                        assert f"endpoint {receiver.endpoint}" in trip.there.end
                        assert (trip.back is None) is (sender.id in cloud.remote)


def owns(cloud: Cloud) -> set[IPv4Address]:
    return {side.address.ip for router in cloud.routers for side in router.uplinks}


@given(asked())
def test_any_packet_and_any_answer(pair):
    cloud, packet = pair
    state = cloud.state
    trip = round_trip(state, packet)
    event(f"{type(packet.entry).__name__} {trip.there.outcome}")
    check(cloud, state, trip.there)
    if trip.back is not None:
        event(f"answered: {trip.answered}")
        check(cloud, state, trip.back)
    assert str(trip)


@given(asked(), st.randoms())
def test_a_journey_depends_on_nothing_but_facts_and_packet(pair, random):
    cloud, packet = pair
    state = cloud.state
    shuffled = list(state.items())
    random.shuffle(shuffled)
    journey = trace(state, packet)
    other = trace(dict(shuffled), packet)
    assert (other.outcome, other.header, other.device, other.mac) == (
        journey.outcome,
        journey.header,
        journey.device,
        journey.mac,
    )
    if journey.outcome is not Outcome.NOT_MODELLED:  # of several routers that are silent, any may be named first
        assert sorted(map(str, other.steps)) == sorted(map(str, journey.steps))


@given(asked(), st.data())
def test_a_host_in_any_disorder_is_answered_for(pair, data):
    """A trace is asked for when something is wrong: facts may be missing in any combination."""
    cloud, packet = pair
    whole = cloud.state
    keys = sorted(whole, key=lambda key: (str(key.place), key.table.name, str(key.row)))
    gone = data.draw(st.sets(st.sampled_from(keys), max_size=6))
    state = {key: value for key, value in whole.items() if key not in gone}
    trip = round_trip(state, packet)
    for journey in (trip.there, trip.back):
        if journey is not None and journey.outcome is Outcome.LEFT:
            assert not str(journey.header.src).startswith("10.")
    assert str(trip)


@given(clouds())
def test_a_floating_ip_leads_to_its_nic_and_to_nobody_else(cloud):
    state = cloud.state
    taken = cloud.associations
    for public in cloud.pools():
        for source in (OUTSIDE, IPv4Address("198.51.100.200")):
            packet = Packet(
                Header(IpProtocol.TCP, source, public.address, 40000, 80), FromUplink(uplink_name(public.uplink))
            )
            journey = trace(state, packet)
            if public not in taken:
                assert journey.outcome is Outcome.UNANSWERED
                for router in cloud.routers:
                    # Nor does it help to know the router, as a neighbour with an old ARP entry does.
                    entry = FromUplink(uplink_name(public.uplink), router.id)
                    assert trace(state, replace(packet, entry=entry)).outcome in {Outcome.DROPPED, Outcome.UNANSWERED}
                continue
            nic, fixed = taken[public]
            assert journey.outcome is Outcome.DELIVERED
            assert journey.device == bridge_name(nic.network)
            assert journey.header == Header(IpProtocol.TCP, source, fixed, 40000, 80)
            assert journey.mac in ({nic.mac} if fixed == nic.addresses[0].address else {None})
            for router in cloud.routers:
                if router.id != nic.router:
                    entry = FromUplink(uplink_name(public.uplink), router.id)
                    assert trace(state, replace(packet, entry=entry)).outcome in {Outcome.DROPPED, Outcome.UNANSWERED}


@given(clouds(max_uplinks=1))
def test_behind_one_uplink_all_that_comes_in_and_goes_out_is_answered(cloud):
    state = cloud.state
    for public in cloud.associations:
        entry = FromUplink(uplink_name(public.uplink))
        assert round_trip(state, Packet(Header(IpProtocol.ICMP, OUTSIDE, public.address), entry)).answered
    for nic in cloud.nics:
        for fixed in nic.addresses:
            trip = round_trip(state, Packet(Header(IpProtocol.ICMP, fixed.address, OUTSIDE), FromGuest(nic.network)))
            faces = [*fixed.floating, *nic.shared]
            assert trip.answered is bool(faces)
            if faces:
                assert trip.there.header.src == faces[0].address


@given(clouds())
def test_guests_of_different_networks_meet_by_floating_ips_only_unless_a_router_joins_them(cloud):
    state = cloud.state
    joined = {router.id for router in cloud.routers if router.joined}
    for sender in cloud.nics:
        for receiver in cloud.nics:
            for source in sender.addresses:
                for target in receiver.addresses:
                    header = Header(IpProtocol.ICMP, source.address, target.address)
                    journey = trace(state, Packet(header, FromGuest(sender.network)))
                    if sender.network == receiver.network:
                        continue
                    if sender.router == receiver.router and sender.router in joined:
                        # Of an address without a DHCP entry or a translation no fact says that anybody has it.
                        known = target == receiver.addresses[0] or target.floating or receiver.shared
                        assert journey.outcome is (Outcome.DELIVERED if known else Outcome.UNANSWERED)
                        assert journey.header.src == source.address
                    elif journey.outcome is Outcome.DELIVERED:
                        # The address exists in the sender's own network too: it is that one's guest who gets it.
                        assert journey.device == bridge_name(sender.network)


@given(clouds(max_nics=3, busy=True), st.data())
def test_a_flow_does_not_outlive_its_association(cloud, data):
    """After a disassociation or a move nothing of the old flows gets through, in either direction."""
    flows = [
        (public, entry, flow)
        for public, (nic, _) in cloud.associations.items()
        for entry, flow in flows_of(cloud, public)
    ]
    assert flows
    public, entry, flow = data.draw(st.sampled_from(flows))
    flow = replace(flow, answered=data.draw(st.booleans()))
    nic, fixed = cloud.associations[public]
    takers = [
        (one.id, address.address)
        for one in cloud.nics
        for address in one.addresses
        if one.router == nic.router and address.address != fixed
    ]
    taker = data.draw(st.none() | st.sampled_from(takers)) if takers else None
    event("moved" if taker else "disassociated")
    after = cloud.without(public) if taker is None else cloud.associated(public, *taker)
    straight = FromUplink(uplink_name(public.uplink), nic.router)
    guest = FromGuest(nic.network)
    states = cloud.state, after.state
    for header, came_in in ((flow.original, entry), (flow.reply, guest if isinstance(entry, FromUplink) else straight)):
        at = straight if isinstance(came_in, FromUplink) else came_in
        assert trace(states[0], Packet(header, at, flow)).outcome in GOT_THROUGH
        journey = trace(states[1], Packet(header, at, flow))
        assert journey.outcome is Outcome.DROPPED, journey


def flows_of(cloud: Cloud, public) -> list[tuple[Entry, Flow]]:
    """Return the established flows by a floating IP, from the outside and to it, where the uplinks let them be established."""
    nic, fixed = cloud.associations[public]
    neighbour = IPv4Address(
        int(public.address) & 0xFFFFFF00 | 200
    )  # on the uplink's own wire, whatever the default route
    state = cloud.state
    found: list[tuple[Entry, Flow]] = []
    for header, entry in (
        (Header(IpProtocol.TCP, neighbour, public.address, 40000, 80), FromUplink(uplink_name(public.uplink))),
        (Header(IpProtocol.TCP, fixed, neighbour, 40000, 80), FromGuest(nic.network)),
    ):
        trip = round_trip(state, Packet(header, entry))
        if trip.answered and trip.back is not None and trip.back.flow is not None:
            if isinstance(entry, FromGuest) and trip.there.header.src != public.address:
                continue  # another floating IP of the same address is its face
            found.append((entry, trip.back.flow))
    return found


@given(clouds())
def test_an_address_enters_where_it_is_known(cloud):
    state = cloud.state
    for nic in cloud.nics:
        for index, fixed in enumerate(nic.addresses):
            ways = ways_in(state, fixed.address)
            # Without a DHCP entry, only translations tell of an address.
            if index == 0 or fixed.floating or nic.shared:
                assert FromGuest(nic.network) in ways
