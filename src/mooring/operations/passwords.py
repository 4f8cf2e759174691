"""Passwords and other secrets that people or programs log in with: kept as Argon2 hashes, and checked with the same work for everybody."""

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

from mooring.model.faults import Invalid
from mooring.operations.interfaces import Chance

_LONGEST = 4096


class Passwords:
    """Hashes secrets, and says whether one is right.  Each takes tens of milliseconds and 64 MiB on purpose: never inside a transaction."""

    def __init__(self, chance: Chance) -> None:
        """Prepare a hash that nobody knows the secret of."""
        self._hasher = PasswordHasher()
        # Checked for an unknown user, so that the answer takes as long as for a known one.
        self._nobody = self._hasher.hash(chance.new_secret())

    def hash(self, secret: str) -> str:
        """Return what may be stored of a secret."""
        return self._hasher.hash(secret)

    def matches(self, hashed: str | None, secret: str) -> bool:
        """Say whether a secret is the hashed one; no hash, or an empty one, takes as long and is matched by nothing."""
        try:
            self._hasher.verify(hashed or self._nobody, secret)
        except (Argon2Error, InvalidHashError):
            return False
        return bool(hashed)


def checked_password(field: str, password: str) -> str:
    """Return a password that may be hashed.

    Raises:
        Invalid: it is empty or too long, or no text at all.
    """
    if not password:
        raise Invalid(field, "must not be empty")
    if len(password) > _LONGEST:
        raise Invalid(field, f"must not be longer than {_LONGEST} characters")
    try:
        password.encode()
    except UnicodeEncodeError as error:
        raise Invalid(field, "holds half a surrogate pair") from error
    return password


def checked_hash(field: str, hashed: str) -> str:
    """Return a password's hash, made elsewhere, that may be stored.

    Raises:
        Invalid: it is no Argon2 hash.
    """
    try:
        extract_parameters(hashed)
    except InvalidHashError as error:
        raise Invalid(field, "must be an Argon2 hash, as `mooring user hash` prints one") from error
    return hashed
