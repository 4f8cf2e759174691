"""/v1/security-groups: what instances may send and receive."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, NamedPage, listing
from mooring.dialects.native.routes.instances import find_instance
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import GroupRuleView, InstanceView, SecurityGroupView
from mooring.dialects.native.wishes import GroupRuleWish, SecurityGroupWish
from mooring.model.accounts import Caller
from mooring.model.faults import NotFound
from mooring.model.groups import SecurityGroup
from mooring.model.ids import GroupId, NicId, RuleId, is_uuid
from mooring.operations import Operations

NicOf = Annotated[str | None, Query(description="Only this NIC of the instance, by id; all of them without it.")]


class GroupPage(NamedPage):
    """Which part of the security groups is asked for."""

    every_project: Annotated[bool, Field(description="Everybody's, for administrators.")] = False


def find_group(operations: Operations, caller: Caller, name: str) -> SecurityGroup:
    """Return a security group by name or id.

    Raises:
        NotFound: the project has no such group.
    """
    for group in operations.groups.listing(caller, name=name):
        return group
    if is_uuid(name):
        return operations.groups.get(caller, GroupId(name))
    raise NotFound("Security group", name)


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["security-groups"])
    operations = service.operations
    groups = operations.groups

    @router.get("/security-groups")
    @service.writes  # the first time, there is a group to be made
    def list_security_groups(caller: CallerOf, page: Annotated[GroupPage, Query()]) -> Listing[SecurityGroupView]:
        """List the project's security groups."""
        found = groups.listing(caller, name=page.name, every_project=page.every_project)
        return listing((SecurityGroupView.of(each) for each in found), page)

    @router.post("/security-groups", status_code=201)
    @service.writes
    def create_security_group(
        caller: CallerOf, tag: TagOf, wish: SecurityGroupWish, key: Key = None
    ) -> SecurityGroupView:
        """Make a security group: its members may send everything and receive nothing but answers."""
        return SecurityGroupView.of(tag(groups.create(caller, wish.name, wish.description, key)))

    @router.get("/security-groups/{group}")
    @service.writes
    def show_security_group(caller: CallerOf, tag: TagOf, group: str) -> SecurityGroupView:
        """Show a security group, by name or id."""
        return SecurityGroupView.of(tag(find_group(operations, caller, group)))

    @router.put("/security-groups/{group}")
    @service.writes
    def update_security_group(
        caller: ExpectingOf, tag: TagOf, group: str, wish: SecurityGroupWish
    ) -> SecurityGroupView:
        """Rename a security group, by name or id, and say anew what it is for."""
        known = find_group(operations, caller, group)
        return SecurityGroupView.of(tag(groups.update(caller, known.id, wish.name, wish.description)))

    @router.delete("/security-groups/{group}", status_code=204)
    @service.writes
    def delete_security_group(caller: ExpectingOf, group: str) -> None:
        """Delete a security group that no instance is in and no rule of another group names, by name or id."""
        groups.delete(caller, find_group(operations, caller, group).id)

    @router.post("/security-groups/{group}/rules", status_code=201)
    @service.writes
    def create_security_group_rule(caller: CallerOf, group: str, wish: GroupRuleWish, key: Key = None) -> GroupRuleView:
        """Admit something: when this is answered, hosts let it pass."""
        known = find_group(operations, caller, group)
        return GroupRuleView.of(groups.add_rule(caller, known.id, wish.new(), key))

    @router.delete("/security-groups/{group}/rules/{rule}", status_code=204)
    @service.writes
    def delete_security_group_rule(caller: CallerOf, group: str, rule: str) -> None:
        """Admit something no longer: when this is answered, flows that only this rule admitted have ended."""
        groups.delete_rule(caller, RuleId(rule), find_group(operations, caller, group).id)

    @router.put("/instances/{instance}/security-groups/{group}")
    @service.writes
    def join_security_group(caller: CallerOf, instance: str, group: str, nic: NicOf = None) -> InstanceView:
        """Put an instance, by name or id, into a security group; where it is in it already, nothing changes."""
        found = find_instance(operations, caller, instance)
        known = find_group(operations, caller, group)
        cards = [card for card in found.nics if nic in (None, card.id)]
        if not cards or any(known.id not in {name.id for name in card.groups} for card in cards):
            groups.join(caller, found.id, known.id, NicId(nic) if nic is not None else None)
        return InstanceView.of(operations.instances.get(caller, found.id), host_shown=caller.is_admin)

    @router.delete("/instances/{instance}/security-groups/{group}", status_code=204)
    @service.writes
    def leave_security_group(caller: CallerOf, instance: str, group: str, nic: NicOf = None) -> None:
        """Take an instance, by name or id, out of a security group."""
        found = find_instance(operations, caller, instance)
        known = find_group(operations, caller, group)
        groups.leave(caller, found.id, known.id, NicId(nic) if nic is not None else None)

    return router
