"""/v1/nics: the addresses of network cards beside their first."""

from typing import Annotated

from fastapi import APIRouter, Query

from mooring.dialects.native.fields import Address, Key
from mooring.dialects.native.routes.instances import find_instance
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import NicView
from mooring.dialects.native.wishes import AllowedAddressesWish, FixedAddressWish
from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, NotFound
from mooring.model.ids import NicId, is_uuid
from mooring.model.nouns import Nic
from mooring.operations import NicChange, Operations

AllowedOf = Annotated[list[str], Query(description="What was allowed, as it was; may be repeated.", min_length=1)]


def find_nic(operations: Operations, caller: Caller, name: str) -> Nic:
    """Return a NIC by id, or by the name or id of an instance that has only this one.

    Raises:
        NotFound: the project has no such NIC.
        Conflict: the instance has several.
    """
    if is_uuid(name):
        try:
            return operations.instances.of_nic(caller, NicId(name)).nic
        except NotFound as unknown:
            try:
                instance = operations.instances.get(caller, find_instance(operations, caller, name).id)
            except NotFound:
                raise unknown from None
    else:
        instance = find_instance(operations, caller, name)
    if len(instance.nics) != 1:
        raise Conflict(f"Instance {name} has {len(instance.nics)} NICs: name one by its id.")
    return instance.nics[0]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/nics", tags=["nics"])
    operations = service.operations
    nics = operations.nics

    @router.get("/{nic}")
    @service.reads
    def show_nic(caller: CallerOf, nic: str) -> NicView:
        """Show a NIC, by id or by its instance's name or id, if that has no other."""
        return NicView.of(find_nic(operations, caller, nic))

    @router.post("/{nic}/fixed-addresses", status_code=201)
    @service.writes
    def add_fixed_address(caller: CallerOf, nic: str, wish: FixedAddressWish, key: Key = None) -> NicView:
        """Give a NIC one more fixed IP: when this is answered, its hosts know it.  The guest is not told."""
        return NicView.of(nics.add_fixed(caller, find_nic(operations, caller, nic).id, wish.address, key))

    @router.delete("/{nic}/fixed-addresses/{address}", status_code=204)
    @service.writes
    def remove_fixed_address(caller: CallerOf, nic: str, address: Address) -> None:
        """Take a fixed IP from a NIC that is not its first, and that no floating IP or egress preference needs."""
        nics.remove_fixed(caller, find_nic(operations, caller, nic).id, address)

    @router.put("/{nic}/allowed-addresses")
    @service.writes
    def set_allowed_addresses(caller: CallerOf, nic: str, wish: AllowedAddressesWish) -> NicView:
        """Let a NIC use these addresses beside its own, and no others: when this is answered, it is so."""
        change = NicChange(allowed=tuple(wish.addresses))
        return NicView.of(nics.change(caller, find_nic(operations, caller, nic).id, change))

    @router.post("/{nic}/allowed-addresses")
    @service.writes
    def allow_addresses(caller: CallerOf, nic: str, wish: AllowedAddressesWish, key: Key = None) -> NicView:
        """Let a NIC use these addresses too: when this is answered, it can.  Those that it may use already stay."""
        return NicView.of(nics.allow(caller, find_nic(operations, caller, nic).id, wish.addresses, key))

    @router.delete("/{nic}/allowed-addresses", status_code=204)
    @service.writes
    def disallow_addresses(caller: CallerOf, nic: str, address: AllowedOf) -> None:
        """Take addresses from a NIC that it was allowed: when this is answered, it can't use them."""
        nics.disallow(caller, find_nic(operations, caller, nic).id, address)

    @router.delete("/{nic}", status_code=204)
    @service.writes
    def delete_nic(caller: CallerOf, nic: str) -> None:
        """Take a NIC from its instance, which may run; its floating IPs stay with the project."""
        operations.attachments.detach(caller, find_nic(operations, caller, nic).id)

    return router
