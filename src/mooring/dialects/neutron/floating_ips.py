"""Floating IPs, which are allocated, associated, moved and disassociated by the port that they lead to."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, single
from mooring.dialects.neutron.marks import expecting, tagged
from mooring.dialects.neutron.networks import external
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.neutron.port_forwardings import in_floating_ip
from mooring.dialects.neutron.walks import walked
from mooring.dialects.openstack.bodies import Body, Ipv4, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import AddressId, NetworkId, NicId, RouterId
from mooring.model.nouns import FloatingIp, PortForwarding
from mooring.operations import FloatingChoice, NewFloatingIp


class Association(Body):
    """Where a floating IP leads.  What mooring has no notion of may be there, but empty."""

    port_id: Name | None = None
    fixed_ip_address: Ipv4 | None = None
    description: NotOffered = None
    qos_policy_id: NotOffered = None


class WantedFloatingIp(Association):
    """A floating IP to be made."""

    floating_network_id: Name
    floating_ip_address: Ipv4 | None = None
    subnet_id: Name | None = None
    tenant_id: Name | None = None
    project_id: Name | None = None
    dns_name: NotOffered = None
    dns_domain: NotOffered = None
    tags: NotOffered = None


class CreateBody(Body):
    """The body of POST /floatingips."""

    floatingip: WantedFloatingIp


class UpdateBody(Body):
    """The body of PUT /floatingips/{floatingip}."""

    floatingip: Association


def list_floating_ips(call: Call) -> Answer:
    """GET /network/v2.0/floatingips: without those that came with servers, which clients would try to take off and release."""
    known = _Known.of(call)

    def views(choice: FloatingChoice) -> Iterator[Sequence[View]]:
        own = replace(choice, automatic=False)
        for piece in call.operations.addresses.walk(call.caller, own, every_project=True):
            yield [_view(each, known) for each in piece]

    return walked(call, "floatingips", views)


def show_floating_ip(call: Call) -> Answer:
    """GET /network/v2.0/floatingips/{floatingip}."""
    return single(call, "floatingip", _view(call.operations.addresses.get(call.caller, _id(call)), _Known.of(call)))


def create_floating_ip(call: Call) -> Answer:
    """POST /network/v2.0/floatingips."""
    wanted = call.read(CreateBody).floatingip
    check_owner(call, wanted.tenant_id, wanted.project_id)
    pool = external(call, wanted.floating_network_id)
    if wanted.subnet_id not in (None, pool.id):
        raise NotFound("Subnet", wanted.subnet_id)
    _check_whole(wanted)
    new = NewFloatingIp(
        pool=pool.id,
        address=wanted.floating_ip_address,
        nic=None if wanted.port_id is None else NicId(wanted.port_id),
        fixed=wanted.fixed_ip_address,
    )
    made = call.operations.addresses.make(call.caller, new, call.idempotency_key)
    return single(call, "floatingip", _view(made, _Known.of(call)), 201)


def update_floating_ip(call: Call) -> Answer:
    """PUT /network/v2.0/floatingips/{floatingip}."""
    wanted = call.read(UpdateBody).floatingip
    _check_whole(wanted)
    # A body without any port ends the association, as it does in Neutron.
    nic = None if wanted.port_id is None else NicId(wanted.port_id)
    changed = call.operations.addresses.point(expecting(call), _id(call), nic, wanted.fixed_ip_address)
    return single(call, "floatingip", _view(changed, _Known.of(call)))


def delete_floating_ip(call: Call) -> Answer:
    """DELETE /network/v2.0/floatingips/{floatingip}."""
    call.operations.addresses.release(expecting(call), _id(call))
    return Answer(204)


def _id(call: Call) -> AddressId:
    return AddressId(call.params["floatingip"])


def _check_whole(wanted: Association) -> None:
    if wanted.port_id is None and wanted.fixed_ip_address is not None:
        reason = "Invalid input for field floatingip.fixed_ip_address: cannot be specified without a port_id."
        raise NeutronRefused(400, "BadRequest", reason)


@dataclass(frozen=True, slots=True)
class _Known:
    """What views of floating IPs name beside them: routers of networks, and forwardings of floating IPs."""

    routers: Mapping[NetworkId, RouterId | None]
    forwardings: Mapping[AddressId, list[PortForwarding]]

    @classmethod
    def of(cls, call: Call) -> "_Known":
        """Look them up, all that the caller may know of."""
        forwardings: defaultdict[AddressId, list[PortForwarding]] = defaultdict(list)
        for each in call.operations.forwardings.listing(call.caller, every_project=True):
            forwardings[each.floating].append(each)
        networks = call.operations.networks.listing(call.caller)
        return cls({network.id: network.router for network in networks}, forwardings)


def _view(floating: FloatingIp, known: _Known) -> View:
    forwardings = known.forwardings.get(floating.id, [])
    network = floating.network if not forwardings else forwardings[0].network
    return {
        "id": floating.id,
        "floating_ip_address": str(floating.address),
        "floating_network_id": floating.pool,
        "tenant_id": floating.project,
        "project_id": floating.project,
        "port_id": floating.nic,
        "fixed_ip_address": str(floating.fixed) if floating.fixed is not None else None,
        "router_id": known.routers.get(network) if network is not None else None,
        "status": "ACTIVE" if network is not None else "DOWN",
        "port_forwardings": in_floating_ip(forwardings),
        **tagged(floating.marks),
    }
