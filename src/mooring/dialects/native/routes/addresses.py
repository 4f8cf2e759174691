"""/v1/floating-ips: public addresses of a project, and what they are associated with."""

from ipaddress import AddressValueError, IPv4Address

from fastapi import APIRouter

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, PageOf, listing
from mooring.dialects.native.routes.instances import find_instance
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import FloatingIpView
from mooring.dialects.native.wishes import AssociationWish, FloatingIpWish
from mooring.model.accounts import Caller
from mooring.model.faults import NotAssociated, NotFound
from mooring.model.ids import AddressId
from mooring.model.nouns import FloatingIp
from mooring.operations import FloatingChoice, NewFloatingIp, Operations


def find_floating(operations: Operations, caller: Caller, name: str) -> FloatingIp:
    """Return a floating IP by id or by its address.

    Raises:
        NotFound: the project has no such floating IP.
    """
    try:
        address = IPv4Address(name)
    except AddressValueError:
        return operations.addresses.get(caller, AddressId(name))
    for found in operations.addresses.walk(caller, FloatingChoice(addresses=(address,))):
        return found[0]
    raise NotFound("Floating IP", address)


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/floating-ips", tags=["floating-ips"])
    operations = service.operations
    addresses = operations.addresses

    @router.get("")
    @service.reads
    def list_floating_ips(caller: CallerOf, page: PageOf) -> Listing[FloatingIpView]:
        """List the project's floating IPs."""
        return listing((FloatingIpView.of(each) for each in addresses.listing(caller)), page)

    @router.post("", status_code=201)
    @service.writes
    def allocate_floating_ip(caller: CallerOf, wish: FloatingIpWish, key: Key = None) -> FloatingIpView:
        """Give the project a floating IP, any of a pool or the one that is named."""
        if wish.address is not None:
            new = NewFloatingIp(wish.pool, wish.address)
            return FloatingIpView.of(addresses.make(caller, new, key))
        return FloatingIpView.of(addresses.allocate(caller, wish.pool, key))

    @router.get("/{floating_ip}")
    @service.reads
    def show_floating_ip(caller: CallerOf, tag: TagOf, floating_ip: str) -> FloatingIpView:
        """Show a floating IP, by address or id."""
        return FloatingIpView.of(tag(find_floating(operations, caller, floating_ip)))

    @router.delete("/{floating_ip}", status_code=204)
    @service.writes
    def release_floating_ip(caller: ExpectingOf, floating_ip: str) -> None:
        """Take a floating IP back from the project, by address or id; its association ends."""
        addresses.release(caller, find_floating(operations, caller, floating_ip).id)

    @router.put("/{floating_ip}/association")
    @service.writes
    def associate_floating_ip(
        caller: ExpectingOf, tag: TagOf, floating_ip: str, wish: AssociationWish
    ) -> FloatingIpView:
        """Let an instance answer at a floating IP; one that is associated elsewhere moves."""
        floating = find_floating(operations, caller, floating_ip)
        instance = find_instance(operations, caller, wish.instance)
        return FloatingIpView.of(tag(addresses.associate(caller, instance.id, floating.address, wish.fixed_address)))

    @router.delete("/{floating_ip}/association", status_code=204)
    @service.writes
    def disassociate_floating_ip(caller: ExpectingOf, floating_ip: str) -> None:
        """End an association: when this is answered, no packet to the address reaches the instance."""
        floating = find_floating(operations, caller, floating_ip)
        if floating.nic is None:
            raise NotAssociated(f"Floating IP {floating.address} is not associated.")
        if floating.instance is None:
            addresses.point(caller, floating.id, None)
        else:
            addresses.disassociate(caller, floating.instance, floating.address)

    return router
