"""/v1/networks: guest networks."""

from fastapi import APIRouter

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, NamedPageOf, listing
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import NetworkView
from mooring.dialects.native.wishes import NetworkWish


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/networks", tags=["networks"])
    networks, identity = service.operations.networks, service.operations.identity

    @router.get("")
    @service.reads
    def list_networks(caller: CallerOf, page: NamedPageOf) -> Listing[NetworkView]:
        """List the networks that the project may use."""
        found = networks.listing(caller)
        return listing((NetworkView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("", status_code=201)
    @service.writes
    def create_network(caller: CallerOf, tag: TagOf, wish: NetworkWish, key: Key = None) -> NetworkView:
        """Make a network of any kind."""
        project = identity.project(caller, wish.project).id if wish.project is not None else None
        return NetworkView.of(tag(networks.create(caller, wish.new(project), key)))

    @router.get("/{network}")
    @service.reads
    def show_network(caller: CallerOf, tag: TagOf, network: str) -> NetworkView:
        """Show a network, by name or id."""
        return NetworkView.of(tag(networks.get(caller, network)))

    @router.delete("/{network}", status_code=204)
    @service.writes
    def delete_network(caller: ExpectingOf, network: str) -> None:
        """Delete a network that no NIC is on, by name or id."""
        networks.delete(caller, networks.get(caller, network).id)

    return router
