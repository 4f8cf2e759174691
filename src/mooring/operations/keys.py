"""Keys: what programs log in with in a user's name, for one project and no more rights than they need."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mooring.model.accounts import Caller, Key, Role
from mooring.model.events import Action
from mooring.model.faults import Conflict, Forbidden, Invalid, NotFound
from mooring.model.ids import KeyId, UserId
from mooring.operations.door import Door, checked_name, once
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, KeyCredentials
from mooring.operations.passwords import Passwords, checked_password
from mooring.policy.names import text_fault
from mooring.policy.roles import with_implied


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made for the caller's project.

    Without `roles` it has those that the caller has; without `expires` it does not end by itself; without `secret` a random one is made.
    With one that is not `restricted`, further keys can be made.
    """

    name: str
    description: str = ""
    roles: frozenset[Role] | None = None
    expires: datetime | None = None
    secret: str | None = None
    restricted: bool = True


class KeyOperations:
    """A user's own keys; an administrator sees and deletes everybody's."""

    def __init__(self, door: Door, passwords: Passwords) -> None:
        """Keep the door, and what hashes secrets."""
        self._door = door
        self._passwords = passwords

    def create(self, caller: Caller, new: NewKey, idempotency_key: str | None = None) -> tuple[Key, str]:
        """Make a key of the caller's; return it and its secret, which is told this once.

        Asked again under the same idempotency key, the key gets another secret: the first was lost with the answer.

        Raises:
            Forbidden: the caller came with a restricted key.
            Invalid: a field cannot be, or a role is asked for that the caller does not have.
            Conflict: the user has a key of this name.
        """
        _unrestricted(caller)
        name = checked_name("name", new.name)
        if (reason := text_fault(new.description)) is not None:
            raise Invalid("description", reason)
        roles = caller.roles if new.roles is None else new.roles
        if not roles or not roles <= with_implied(caller.roles):
            raise Invalid("roles", "must be one or more of the roles that you have in the project")
        secret = checked_password("secret", new.secret) if new.secret is not None else self._door.chance.new_secret()
        hashed = self._passwords.hash(secret)
        request = ("key", caller.user.id, name, new.description, *sorted(roles), new.expires, new.restricted)
        with self._door.store.write() as tx:
            now = tx.now()
            if new.expires is not None and new.expires <= now:
                raise Invalid("expires", "must be a moment to come")

            def make() -> str:
                key = Key(
                    KeyId(self._door.chance.new_id()),
                    name,
                    caller.user.id,
                    caller.project.id,
                    roles,
                    now,
                    new.expires,
                    new.description,
                    new.restricted,
                )
                try:
                    tx.identities.add_key(KeyCredentials(key, hashed))
                except Duplicate as error:
                    raise Conflict(f"Key {name} already exists.", field="name") from error
                note(tx, caller, Action.KEY_CREATE, key.id, name=name, roles=", ".join(sorted(roles)))
                return key.id

            made = KeyId(once(tx, caller, idempotency_key, request, make))
            known = tx.identities.key(made)
            if known is None:
                raise NotFound("Key", made)
            if known.secret_hash != hashed:
                tx.identities.set_secret(made, hashed)
        return known.key, secret

    def listing(self, caller: Caller, user: UserId | None = None) -> Sequence[Key]:
        """Return the caller's keys, or for an administrator those of another user."""
        wanted = caller.user.id if user is None else user
        if wanted != caller.user.id and not caller.is_admin:
            return ()
        with self._door.store.read() as tx:
            return tx.identities.keys(wanted)

    def get(self, caller: Caller, name: str, user: UserId | None = None) -> Key:
        """Find a key by id, or by its name among those of a user, by default the caller's own.

        Raises:
            NotFound: there is none that the caller may know of.
        """
        with self._door.store.read() as tx:
            found = tx.identities.key(KeyId(name)) or tx.identities.key_by_name(user or caller.user.id, name)
        if (
            found is None
            or user not in (None, found.key.user)
            or not (caller.is_admin or found.key.user == caller.user.id)
        ):
            raise NotFound("Key", name)
        return found.key

    def delete(self, caller: Caller, key: KeyId) -> None:
        """Delete a key; its log-ins end.

        Raises:
            NotFound: there is none that the caller may know of.
            Forbidden: the caller came with a restricted key.
        """
        known = self.get(caller, key)
        _unrestricted(caller)
        with self._door.store.write() as tx:
            if not tx.identities.delete_key(key):
                raise NotFound("Key", key)
            note(tx, caller, Action.KEY_DELETE, key, known.project, name=known.name)


def _unrestricted(caller: Caller) -> None:
    if caller.key is not None and caller.key.restricted:
        raise Forbidden("A restricted key can neither make nor delete keys.")
