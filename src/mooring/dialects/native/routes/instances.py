"""/v1/instances, /v1/images and /v1/flavors: guests, and what they are made of."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Key, Listing, NamedPage, NamedPageOf, listing
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import FlavorView, ImageView, InstanceView, NicView
from mooring.dialects.native.wishes import InstanceWish, NicWish, PowerWish
from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Invalid, NotFound
from mooring.model.ids import InstanceId, is_uuid
from mooring.model.nouns import Flavor, Image, Instance
from mooring.operations import NewInstance, NewNic, Operations


class InstancePage(NamedPage):
    """Which part of the instances is asked for."""

    every_project: Annotated[bool, Field(description="Everybody's, for administrators.")] = False


def find_instance(operations: Operations, caller: Caller, name: str) -> Instance:
    """Return an instance by id or, where that is unambiguous, by name.

    Raises:
        NotFound: the project has no such instance.
        Conflict: several have the name.
    """
    if is_uuid(name):
        return operations.instances.get(caller, InstanceId(name))
    named = operations.instances.listing(caller, name=name)
    if len(named) > 1:
        raise Conflict(f"Several instances are named {name}: use an id.")
    if not named:
        raise NotFound("Instance", name)
    return named[0]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["instances"])
    instances = service.operations.instances
    power = service.operations.power

    def view(caller: Caller, instance: Instance) -> InstanceView:
        return InstanceView.of(instance, host_shown=caller.is_admin)

    @router.get("/instances")
    @service.reads
    def list_instances(caller: CallerOf, page: Annotated[InstancePage, Query()]) -> Listing[InstanceView]:
        """List the project's instances."""
        found = instances.listing(caller, name=page.name, every_project=page.every_project)
        return listing((view(caller, each) for each in found), page)

    @router.post("/instances", status_code=202)
    @service.writes
    def create_instance(caller: CallerOf, wish: InstanceWish, key: Key = None) -> InstanceView:
        """Make an instance: it is building, and has no address yet but one that was chosen."""
        new = NewInstance(
            wish.name,
            _identity("image", wish.image, instances.images()),
            _identity("flavor", wish.flavor, instances.flavors()),
            tuple(NewNic(nic.network, nic.fixed_ip) for nic in wish.networks),
            tuple(wish.security_groups) if wish.security_groups is not None else None,
        )
        return view(caller, instances.create(caller, new, key))

    @router.get("/instances/{instance}")
    @service.reads
    def show_instance(caller: CallerOf, tag: TagOf, instance: str) -> InstanceView:
        """Show an instance, by name or id."""
        return view(caller, tag(find_instance(service.operations, caller, instance)))

    @router.post("/instances/{instance}/nics", status_code=201)
    @service.writes
    def create_nic(caller: CallerOf, instance: str, wish: NicWish, key: Key = None) -> NicView:
        """Give an active instance, by name or id, one more NIC; its guest has it when this is answered."""
        found = find_instance(service.operations, caller, instance)
        new = NewNic(wish.network, wish.fixed_ip)
        return NicView.of(service.operations.attachments.attach(caller, found.id, new, key))

    @router.delete("/instances/{instance}", status_code=204)
    @service.writes
    def delete_instance(caller: ExpectingOf, instance: str) -> None:
        """Stop and delete an instance, by name or id; its floating IPs stay with the project."""
        instances.delete(caller, find_instance(service.operations, caller, instance).id)

    @router.put("/instances/{instance}/power")
    @service.writes
    def set_power(caller: CallerOf, instance: str, wish: PowerWish) -> InstanceView:
        """Stop a guest, or let it run again; the instance keeps its addresses, and nothing happens to one that is so already."""
        turn = power.start if wish.running else power.stop
        return view(caller, turn(caller, find_instance(service.operations, caller, instance).id))

    @router.post("/instances/{instance}/reboot")
    @service.writes
    def reboot_instance(caller: CallerOf, instance: str, key: Key = None) -> InstanceView:
        """Let a guest begin anew."""
        found = find_instance(service.operations, caller, instance)
        return view(caller, power.reboot(caller, found.id, idempotency_key=key))

    @router.get("/images")
    @service.reads
    def list_images(_caller: CallerOf, page: NamedPageOf) -> Listing[ImageView]:
        """List what can be booted."""
        found = (ImageView(id=each.id, name=each.name, size=each.size) for each in instances.images())
        return listing((each for each in found if page.name in (None, each.name)), page)

    @router.get("/flavors")
    @service.reads
    def list_flavors(_caller: CallerOf, page: NamedPageOf) -> Listing[FlavorView]:
        """List the sizes that a guest may have."""
        found = (
            FlavorView(id=each.id, name=each.name, vcpus=each.vcpus, ram=each.ram, disk=each.disk)
            for each in instances.flavors()
        )
        return listing((each for each in found if page.name in (None, each.name)), page)

    return router


def _identity(field: str, name: str, known: Sequence[Image] | Sequence[Flavor]) -> str:
    for each in known:
        if name in (each.id, each.name):
            return each.id
    names = ", ".join(each.name for each in known) or "none at all"
    raise Invalid(field, f"there is no {field} {name!r}; there are: {names}")
