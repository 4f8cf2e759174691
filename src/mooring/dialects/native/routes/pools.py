"""/v1/pools and /v1/uplinks: public addresses, and the ways that they come in by."""

from fastapi import APIRouter

from mooring.dialects.native.fields import Key, Listing, NamedPageOf, listing
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import PoolUsageView, PoolView, UplinkView
from mooring.dialects.native.wishes import PoolWish


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["pools"])
    pools = service.operations.pools

    @router.get("/pools")
    @service.reads
    def list_pools(caller: CallerOf, page: NamedPageOf) -> Listing[PoolView]:
        """List the pools that the project may use."""
        found = pools.listing(caller)
        return listing((PoolView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("/pools", status_code=201)
    @service.writes
    def create_pool(caller: CallerOf, wish: PoolWish, key: Key = None) -> PoolView:
        """Make a pool, and its uplink if there is none of that name."""
        return PoolView.of(pools.create(caller, wish.new(), key))

    @router.get("/pools/{pool}")
    @service.reads
    def show_pool(caller: CallerOf, pool: str) -> PoolUsageView:
        """Show a pool, by name or id, and how full it is."""
        return PoolUsageView.used(pools.usage(caller, pool))

    @router.delete("/pools/{pool}", status_code=204)
    @service.writes
    def delete_pool(caller: CallerOf, pool: str) -> None:
        """Delete a pool that no project has an address of, by name or id."""
        pools.delete(caller, pool)

    @router.get("/uplinks")
    @service.reads
    def list_uplinks(caller: CallerOf, page: NamedPageOf) -> Listing[UplinkView]:
        """List the uplinks."""
        found = pools.uplinks(caller)
        return listing((UplinkView.of(each) for each in found if page.name in (None, each.name)), page)

    return router
