"""/v1/keys: what programs log in with in a user's name."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from mooring.dialects.native.accounts import KeyView, KeyWish, NewKeyView
from mooring.dialects.native.fields import Key, Listing, NamedPage, listing
from mooring.dialects.native.service import CallerOf, Service


class KeyPage(NamedPage):
    """Which part of the keys is asked for."""

    user: Annotated[str | None, Field(description="Another user's, by name or id, for administrators.")] = None


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/keys", tags=["keys"])
    accounts, keys = service.operations.accounts, service.operations.keys

    @router.get("")
    @service.reads
    def list_keys(caller: CallerOf, page: Annotated[KeyPage, Query()]) -> Listing[KeyView]:
        """List one's own keys, in whatever project."""
        user = accounts.user(caller, page.user).id if page.user is not None else None
        found = keys.listing(caller, user)
        return listing((KeyView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.post("", status_code=201)
    @service.hashes
    def create_key(caller: CallerOf, wish: KeyWish, key: Key = None) -> NewKeyView:
        """Make a key for the project: its secret is told this once, and anew if the request is repeated with its Idempotency-Key."""
        return NewKeyView.made(*keys.create(caller, wish.new(), key))

    @router.get("/{key}")
    @service.reads
    def show_key(caller: CallerOf, key: str) -> KeyView:
        """Show a key, by name or id."""
        return KeyView.of(keys.get(caller, key))

    @router.delete("/{key}", status_code=204)
    @service.writes
    def delete_key(caller: CallerOf, key: str) -> None:
        """Delete a key, by name or id: its log-ins end."""
        keys.delete(caller, keys.get(caller, key).id)

    return router
