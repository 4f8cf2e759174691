"""/v1/projects, /v1/users and /v1/roles: who owns things, who may log in, and who may do what where."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from mooring.dialects.native.accounts import (
    GrantView,
    PasswordWish,
    ProjectChangeWish,
    ProjectView,
    ProjectWish,
    UserChangeWish,
    UserView,
    UserWish,
)
from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, NamedPageOf, Page, listing
from mooring.dialects.native.service import CallerOf, Service
from mooring.model.accounts import Role


class GrantPage(Page):
    """Which part of the roles is asked for."""

    user: Annotated[str | None, Field(description="Only those of this user, by name or id.")] = None
    project: Annotated[str | None, Field(description="Only those in this project, by name or id.")] = None


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["accounts"])
    router.include_router(_projects(service))
    router.include_router(_users(service))
    router.include_router(_roles(service))
    return router


def _projects(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects")
    accounts = service.operations.accounts

    @router.get("")
    @service.reads
    def list_projects(caller: CallerOf, page: NamedPageOf) -> Listing[ProjectView]:
        """List the projects in which one has a role, and for administrators all."""
        found = accounts.projects(caller)
        return listing((ProjectView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("", status_code=201)
    @service.writes
    def create_project(caller: CallerOf, tag: TagOf, wish: ProjectWish, key: Key = None) -> ProjectView:
        """Make a project, with the quotas that new ones have."""
        return ProjectView.of(tag(accounts.create_project(caller, wish.new(), key)))

    @router.get("/{project}")
    @service.reads
    def show_project(caller: CallerOf, tag: TagOf, project: str) -> ProjectView:
        """Show a project, by name or id."""
        return ProjectView.of(tag(accounts.project(caller, project)))

    @router.put("/{project}")
    @service.writes
    def update_project(caller: ExpectingOf, tag: TagOf, project: str, wish: ProjectChangeWish) -> ProjectView:
        """Change a project, by name or id: with its disabling, all log-ins in it end, and what it owns goes on as it is."""
        return ProjectView.of(tag(accounts.update_project(caller, accounts.project(caller, project).id, wish.change())))

    @router.delete("/{project}", status_code=204)
    @service.writes
    def delete_project(caller: ExpectingOf, project: str) -> None:
        """Delete a project that owns nothing any longer, by name or id, with its security groups, roles and keys."""
        accounts.delete_project(caller, accounts.project(caller, project).id)

    return router


def _users(service: Service) -> APIRouter:
    router = APIRouter()
    accounts = service.operations.accounts

    @router.get("/users")
    @service.reads
    def list_users(caller: CallerOf, page: NamedPageOf) -> Listing[UserView]:
        """List oneself, and for administrators all users."""
        found = accounts.users(caller)
        return listing((UserView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("/users", status_code=201)
    @service.hashes
    def create_user(caller: CallerOf, tag: TagOf, wish: UserWish, key: Key = None) -> UserView:
        """Make a user, who has no role anywhere yet."""
        return UserView.of(tag(accounts.create_user(caller, wish.new(), key)))

    @router.get("/users/{user}")
    @service.reads
    def show_user(caller: CallerOf, tag: TagOf, user: str) -> UserView:
        """Show a user, by name or id."""
        return UserView.of(tag(accounts.user(caller, user)))

    @router.put("/users/{user}")
    @service.hashes
    def update_user(caller: ExpectingOf, tag: TagOf, user: str, wish: UserChangeWish) -> UserView:
        """Change a user, by name or id: with a new password or a disabling, all of the user's log-ins end."""
        return UserView.of(tag(accounts.update_user(caller, accounts.user(caller, user).id, wish.change())))

    @router.delete("/users/{user}", status_code=204)
    @service.writes
    def delete_user(caller: ExpectingOf, user: str) -> None:
        """Delete a user whom no instance names, by name or id, with roles, keys and log-ins."""
        accounts.delete_user(caller, accounts.user(caller, user).id)

    @router.put("/password", status_code=204)
    @service.hashes
    def change_password(caller: CallerOf, wish: PasswordWish, request: Request) -> None:
        """Change one's own password: all of one's log-ins end, this one too; keys stay."""
        source = request.client.host if request.client else None
        service.operations.identity.change_password(caller.user, wish.old, wish.new, source)

    return router


def _roles(service: Service) -> APIRouter:
    router = APIRouter()
    accounts = service.operations.accounts

    @router.get("/roles")
    @service.reads
    def list_roles(caller: CallerOf, page: Annotated[GrantPage, Query()]) -> Listing[GrantView]:
        """List who has which role in which project: one's own, and for administrators everybody's."""
        user = accounts.user(caller, page.user).id if page.user is not None else None
        project = accounts.project(caller, page.project).id if page.project is not None else None
        return listing((GrantView.of(each) for each in accounts.grants(caller, user=user, project=project)), page)

    @router.put("/projects/{project}/users/{user}/roles/{role}", status_code=204)
    @service.writes
    def grant_role(caller: CallerOf, project: str, user: str, role: Role) -> None:
        """Give a user a role in a project, each by name or id; where they have it, nothing changes."""
        accounts.grant(caller, accounts.user(caller, user).id, accounts.project(caller, project).id, role)

    @router.delete("/projects/{project}/users/{user}/roles/{role}", status_code=204)
    @service.writes
    def revoke_role(caller: CallerOf, project: str, user: str, role: Role) -> None:
        """Take a role in a project from a user: their log-ins and keys go on without it, at once."""
        accounts.revoke(caller, accounts.user(caller, user).id, accounts.project(caller, project).id, role)

    return router
