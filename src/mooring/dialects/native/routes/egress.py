"""/v1/egress-preferences: as whom guests leave towards which destinations."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field, Strict

from mooring.dialects.native.conditions import ExpectingOf, TagOf
from mooring.dialects.native.fields import Address, Body, Key, Listing, PageOf, Prefix, View, listing
from mooring.dialects.native.routes.instances import find_instance
from mooring.dialects.native.service import CallerOf, Service
from mooring.model.accounts import Caller
from mooring.model.ids import NicId, PreferenceId
from mooring.model.preferences import EgressPreference, EgressScope, EgressWay
from mooring.operations import NewPreference, NewWay, Operations


class Established(StrEnum):
    """What becomes of flows that guests opened before a change: they go on as they began, or end so that they begin anew."""

    DRAIN = "drain"
    CUT = "cut"


_Established = Annotated[Established, Strict(strict=False)]
EstablishedOf = Annotated[
    Established,
    Query(description="What becomes of flows that the guests opened before: `drain`, they go on, or `cut`."),
]


class WayWish(Body):
    """As whom to leave: a floating IP of the guest, or a pool by name or id, of which each guest takes its own or its router's address."""

    floating_ip: Address | None = None
    pool: str | None = None

    def new(self) -> NewWay:
        """Return what operations make of it."""
        return NewWay(self.floating_ip, self.pool)


class ChangeWish(Body):
    """Where an egress preference leads from now on; without a fallback, nothing leaves while the uplink of `leave_as` leads nowhere."""

    leave_as: WayWish
    fallback: WayWish | None = None
    established: _Established = Established.DRAIN


class PreferenceWish(ChangeWish):
    """An egress preference to be made.

    It is for `fixed_address` of an instance or a NIC, for a NIC (an id), an instance or a network (a name or id), and with none of them for
    the whole project.  0.0.0.0/0 is everywhere.
    """

    prefix: Prefix
    instance: str | None = None
    nic: str | None = None
    fixed_address: Address | None = None
    network: str | None = None

    def new(self, operations: Operations, caller: Caller) -> NewPreference:
        """Return what operations make of it.

        Raises:
            NotFound: the project has no instance of that name.
            Conflict: several have the name.
        """
        instance = find_instance(operations, caller, self.instance).id if self.instance is not None else None
        return NewPreference(
            prefix=self.prefix,
            way=self.leave_as.new(),
            fallback=self.fallback.new() if self.fallback is not None else None,
            instance=instance,
            nic=NicId(self.nic) if self.nic is not None else None,
            fixed=self.fixed_address,
            network=self.network,
            cut=self.established is Established.CUT,
        )


class WayView(View):
    """As whom a guest leaves: as the floating IP, or, where that is null, as whatever address of the pool it has, its router's if need be."""

    floating_ip: IPv4Address | None
    pool: Annotated[str, Field(description="The pool's name.")]

    @classmethod
    def of(cls, way: EgressWay) -> Self:
        """Show a way."""
        return cls(floating_ip=way.address, pool=way.pool_name)


class PreferenceView(View):
    """An egress preference: towards the prefix, guests in the scope leave so; of several prefixes that hold a destination the longest counts.

    `target` is the id of what the scope names; for one address that is `fixed_address` of `nic`.
    """

    id: str
    project: str
    scope: EgressScope
    target: str
    nic: str | None
    fixed_address: IPv4Address | None
    prefix: IPv4Network
    leave_as: WayView
    fallback: WayView | None

    @classmethod
    def of(cls, preference: EgressPreference) -> Self:
        """Show a preference."""
        return cls(
            id=preference.id,
            project=preference.project,
            scope=preference.scope,
            target=preference.target,
            nic=preference.nic,
            fixed_address=preference.fixed,
            prefix=preference.prefix,
            leave_as=WayView.of(preference.way),
            fallback=WayView.of(preference.fallback) if preference.fallback is not None else None,
        )


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["egress"])
    operations = service.operations
    egress = operations.egress

    @router.get("/egress-preferences")
    @service.reads
    def list_egress_preferences(caller: CallerOf, page: PageOf) -> Listing[PreferenceView]:
        """List the project's egress preferences."""
        return listing((PreferenceView.of(each) for each in egress.listing(caller)), page)

    @router.post("/egress-preferences", status_code=201)
    @service.writes
    def create_egress_preference(caller: CallerOf, tag: TagOf, wish: PreferenceWish, key: Key = None) -> PreferenceView:
        """Let guests leave as an address towards a prefix: when this is answered, what they begin there does."""
        return PreferenceView.of(tag(egress.create(caller, wish.new(operations, caller), key)))

    @router.get("/egress-preferences/{preference}")
    @service.reads
    def show_egress_preference(caller: CallerOf, tag: TagOf, preference: str) -> PreferenceView:
        """Show an egress preference."""
        return PreferenceView.of(tag(egress.get(caller, PreferenceId(preference))))

    @router.put("/egress-preferences/{preference}")
    @service.writes
    def update_egress_preference(caller: ExpectingOf, tag: TagOf, preference: str, wish: ChangeWish) -> PreferenceView:
        """Let an egress preference lead elsewhere, without a moment in which it leads nowhere."""
        fallback = wish.fallback.new() if wish.fallback is not None else None
        cut = wish.established is Established.CUT
        return PreferenceView.of(
            tag(egress.update(caller, PreferenceId(preference), wish.leave_as.new(), fallback, cut=cut))
        )

    @router.delete("/egress-preferences/{preference}", status_code=204)
    @service.writes
    def delete_egress_preference(
        caller: ExpectingOf, preference: str, established: EstablishedOf = Established.DRAIN
    ) -> None:
        """Take an egress preference back: when this is answered, what guests begin leaves by what is left."""
        egress.delete(caller, PreferenceId(preference), cut=established is Established.CUT)

    return router
