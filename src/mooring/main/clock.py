"""The machine's time and randomness, as operations want it."""

import secrets
import uuid
from datetime import UTC, datetime


class SystemClock:
    """The machine's time and randomness."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """Return a new random UUID."""
        return str(uuid.uuid4())

    def new_mac(self) -> str:
        """Return a random address of the prefix that KVM clouds use, locally administered and unicast."""
        return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))

    def new_secret(self) -> str:
        """Return a text of 256 random bits."""
        return secrets.token_urlsafe(32)
