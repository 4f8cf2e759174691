"""/v1/port-forwardings: ports of floating IPs that lead to guests."""

from ipaddress import IPv4Address
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from mooring.dialects.native.fields import Address, Body, Key, Listing, Page, View, listing
from mooring.dialects.native.routes.addresses import find_floating
from mooring.dialects.native.routes.instances import find_instance
from mooring.dialects.native.service import CallerOf, Service
from mooring.model.accounts import Caller
from mooring.model.ids import ForwardingId, NicId
from mooring.model.nouns import PortForwarding
from mooring.operations import ForwardingChange, NewForwarding, Operations


class ForwardingPage(Page):
    """Which part of a list is asked for, or only what is of one floating IP."""

    floating_ip: Annotated[str | None, Field(description="Only those of this floating IP, by address or id.")] = None


class ChangeWish(Body):
    """What a port forwarding is from now on; what is left out stays as it is.

    Without a last port a range keeps its length.  `nic` is an id; if it has several addresses, `fixed_address` is one of them.
    """

    protocol: str | None = None
    external_port: int | None = None
    external_port_last: int | None = None
    internal_port: int | None = None
    internal_port_last: int | None = None
    nic: str | None = None
    fixed_address: Address | None = None
    description: str | None = None

    def new(self) -> ForwardingChange:
        """Return what operations make of it."""
        return ForwardingChange(
            protocol=self.protocol,
            first=self.external_port,
            last=self.external_port_last,
            to=self.internal_port,
            to_last=self.internal_port_last,
            nic=NicId(self.nic) if self.nic is not None else None,
            fixed=self.fixed_address,
            description=self.description,
        )


class ForwardingWish(Body):
    """A port forwarding to be made: ports of a floating IP (address or id) lead to as many of an instance (name or id) or a NIC (an id).

    `protocol` is tcp or udp.  Without a last port it is one port; without an internal port the ports stay the same.  If the guest has
    several addresses, `fixed_address` is one of them.
    """

    floating_ip: str
    protocol: str
    external_port: int
    external_port_last: int | None = None
    internal_port: int | None = None
    internal_port_last: int | None = None
    instance: str | None = None
    nic: str | None = None
    fixed_address: Address | None = None
    description: str = ""

    def new(self, operations: Operations, caller: Caller) -> NewForwarding:
        """Return what operations make of it.

        Raises:
            NotFound: the project has no instance of that name.
            Conflict: several have the name.
        """
        return NewForwarding(
            protocol=self.protocol,
            first=self.external_port,
            last=self.external_port_last,
            to=self.internal_port,
            to_last=self.internal_port_last,
            nic=NicId(self.nic) if self.nic is not None else None,
            instance=find_instance(operations, caller, self.instance).id if self.instance is not None else None,
            fixed=self.fixed_address,
            description=self.description,
        )


class ForwardingView(View):
    """A port forwarding: the external ports of the floating IP lead to the internal ones of the fixed address, each to its like."""

    id: str
    project: str
    floating_ip: IPv4Address
    protocol: str
    external_port: int
    external_port_last: int
    internal_port: int
    internal_port_last: int
    fixed_address: IPv4Address
    nic: str
    instance: str | None
    description: str

    @classmethod
    def of(cls, forwarding: PortForwarding) -> Self:
        """Show a port forwarding."""
        return cls(
            id=forwarding.id,
            project=forwarding.project,
            floating_ip=forwarding.address,
            protocol=forwarding.protocol,
            external_port=forwarding.first,
            external_port_last=forwarding.last,
            internal_port=forwarding.to,
            internal_port_last=forwarding.to_last,
            fixed_address=forwarding.fixed,
            nic=forwarding.nic,
            instance=forwarding.instance,
            description=forwarding.description,
        )


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/port-forwardings", tags=["port-forwardings"])
    operations = service.operations
    forwardings = operations.forwardings

    @router.get("")
    @service.reads
    def list_port_forwardings(caller: CallerOf, page: Annotated[ForwardingPage, Query()]) -> Listing[ForwardingView]:
        """List the project's port forwardings, or those of one floating IP."""
        if page.floating_ip is None:
            found = forwardings.listing(caller)
        else:
            found = forwardings.of_floating(caller, find_floating(operations, caller, page.floating_ip).id)
        return listing((ForwardingView.of(each) for each in found), page)

    @router.post("", status_code=201)
    @service.writes
    def create_port_forwarding(caller: CallerOf, wish: ForwardingWish, key: Key = None) -> ForwardingView:
        """Let ports of a floating IP lead to a guest: when this is answered, they do."""
        floating = find_floating(operations, caller, wish.floating_ip)
        return ForwardingView.of(forwardings.create(caller, floating.id, wish.new(operations, caller), key))

    @router.get("/{forwarding}")
    @service.reads
    def show_port_forwarding(caller: CallerOf, forwarding: str) -> ForwardingView:
        """Show a port forwarding."""
        return ForwardingView.of(forwardings.get(caller, ForwardingId(forwarding)))

    @router.put("/{forwarding}")
    @service.writes
    def update_port_forwarding(caller: CallerOf, forwarding: str, wish: ChangeWish) -> ForwardingView:
        """Let a port forwarding be otherwise: flows by ports that lead elsewhere from now on end."""
        return ForwardingView.of(forwardings.change(caller, ForwardingId(forwarding), wish.new()))

    @router.delete("/{forwarding}", status_code=204)
    @service.writes
    def delete_port_forwarding(caller: CallerOf, forwarding: str) -> None:
        """Take a port forwarding back: when this is answered, its flows have ended."""
        forwardings.delete(caller, ForwardingId(forwarding))

    return router
