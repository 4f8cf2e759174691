"""/v1/quotas: how many of what a project has, and may have."""

from typing import Annotated

from fastapi import APIRouter, Query

from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import QuotasView, QuotaView
from mooring.dialects.native.wishes import QuotaWish
from mooring.model.nouns import Resource

ProjectOf = Annotated[str | None, Query(description="Another project's, by name or id, for administrators.")]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/quotas", tags=["quotas"])
    identity = service.operations.identity

    @router.get("")
    @service.reads
    def list_quotas(caller: CallerOf, project: ProjectOf = None) -> QuotasView:
        """List a project's quotas."""
        found = identity.quotas(caller, project or caller.project.id)
        return QuotasView(items=[QuotaView.of(quota) for quota in found])

    @router.put("/{resource}", status_code=204)
    @service.writes
    def set_quota(caller: CallerOf, resource: Resource, wish: QuotaWish, project: ProjectOf = None) -> None:
        """Set how many of a resource a project may have; below what it has is allowed: then it gets no more."""
        found = identity.project(caller, project or caller.project.id)
        identity.set_quota(caller, found.id, resource, wish.limit)

    return router
