"""/v1/pools and /v1/uplinks: public addresses, and the ways that they come in by."""

from typing import Annotated

from fastapi import APIRouter, Query

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, NamedPageOf, listing
from mooring.dialects.native.pools import (
    PoolChangeWish,
    PoolReportView,
    PoolView,
    PoolWish,
    ShareView,
    UplinkView,
    UplinkWish,
)
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.wishes import QuotaWish

ReleaseOf = Annotated[
    bool, Query(description="Whether the project's floating IPs of the pool that lead nowhere are taken from it.")
]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["pools"])
    pools, grants = service.operations.pools, service.operations.grants

    @router.get("/pools")
    @service.reads
    def list_pools(caller: CallerOf, page: NamedPageOf) -> Listing[PoolView]:
        """List the pools that the project may use."""
        found = pools.listing(caller)
        return listing((PoolView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("/pools", status_code=201)
    @service.writes
    def create_pool(caller: CallerOf, tag: TagOf, wish: PoolWish, key: Key = None) -> PoolView:
        """Make a pool, and its uplink if there is none of that name."""
        return PoolView.of(tag(pools.create(caller, wish.new(), key)))

    @router.get("/pools/{pool}")
    @service.reads
    def show_pool(caller: CallerOf, tag: TagOf, pool: str) -> PoolReportView:
        """Show a pool, by name or id, how full it is, and to administrators who has how much of it and when it will be exhausted."""
        report = pools.report(caller, pool)
        tag(report.usage.pool)
        return PoolReportView.told(report)

    @router.put("/pools/{pool}")
    @service.writes
    def update_pool(caller: ExpectingOf, tag: TagOf, pool: str, wish: PoolChangeWish) -> PoolView:
        """Say for whom a pool is there, by name or id, and how many of its floating IPs a fixed IP may have."""
        return PoolView.of(tag(pools.update(caller, pool, wish.change())))

    @router.delete("/pools/{pool}", status_code=204)
    @service.writes
    def delete_pool(caller: ExpectingOf, pool: str) -> None:
        """Delete a pool that no project has an address of, by name or id."""
        pools.delete(caller, pool)

    @router.put("/pools/{pool}/grants/{project}")
    @service.writes
    def grant_pool(caller: CallerOf, pool: str, project: str) -> ShareView:
        """Let a project use a pool, each by name or id; where it may already, nothing changes."""
        return ShareView.of(grants.grant(caller, pool, project))

    @router.delete("/pools/{pool}/grants/{project}")
    @service.writes
    def withdraw_pool(caller: CallerOf, pool: str, project: str, *, release: ReleaseOf = False) -> ShareView:
        """Take a grant back: what the project has stays its own and what is associated goes on, but it gets no more and associates nothing."""
        return ShareView.of(grants.withdraw(caller, pool, project, release=release))

    @router.put("/pools/{pool}/quotas/{project}")
    @service.writes
    def set_pool_quota(caller: CallerOf, pool: str, project: str, wish: QuotaWish) -> ShareView:
        """Set how many floating IPs of a pool a project may have; below what it has is allowed: then it gets no more."""
        return ShareView.of(grants.limit(caller, pool, project, wish.limit))

    @router.get("/uplinks")
    @service.reads
    def list_uplinks(caller: CallerOf, page: NamedPageOf) -> Listing[UplinkView]:
        """List the uplinks."""
        found = pools.uplinks(caller)
        return listing((UplinkView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.put("/uplinks/{uplink}")
    @service.writes
    def update_uplink(caller: CallerOf, uplink: str, wish: UplinkWish) -> UplinkView:
        """Change an uplink, by name or id: gateways do as it says when this returns."""
        return UplinkView.of(service.operations.uplinks.update(caller, uplink, wish.misses))

    @router.delete("/uplinks/{uplink}", status_code=204)
    @service.writes
    def delete_uplink(caller: CallerOf, uplink: str) -> None:
        """Delete an uplink that no pool is on, by name or id."""
        service.operations.uplinks.delete(caller, uplink)

    return router
