"""Everything that a caller can be told is wrong, as one closed family of exceptions.

    Fault
    ├── Unauthenticated      no valid credentials
    ├── Forbidden            known caller, not allowed
    ├── NotFound             no such thing, or not the caller's: the two answers are the same
    ├── Invalid              a field has a value that cannot be
    ├── Conflict             contradicts what exists
    │   ├── InUse            something else still needs it
    │   └── Changed          it is not as the caller believed
    ├── NotAssociated        the address is not on that instance
    ├── NotReady             the instance has no fixed address yet
    ├── QuotaExceeded        the project's limit is reached
    ├── TooManyAttempts      wrong passwords came too often; try again later
    ├── Exhausted            no free address
    └── Unavailable          a part of mooring is away; try again later

Each dialect has one table from these classes to its own status codes and bodies; a test holds the tables complete.
"""


class Fault(Exception):
    """Something a caller can be told.

    `reason` is for the caller: a sentence that a person can act on, with nothing a stranger may not know.
    `detail` is for the log only and never leaves the process.
    """

    def __init__(self, reason: str, *, field: str | None = None, detail: str | None = None) -> None:
        """Keep the public reason, the name of the field at fault if there is one, and the private detail."""
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.detail = detail


class Unauthenticated(Fault):
    """The caller did not prove who they are."""


class Forbidden(Fault):
    """The caller is known and may not do this."""


class NotFound(Fault):
    """There is no such thing, as far as this caller may know."""

    def __init__(self, noun: str, name: object) -> None:
        """Say which kind of thing, and by which name or id it was asked for."""
        super().__init__(f"{noun} {name} could not be found.")
        self.noun = noun
        self.name = str(name)


class Invalid(Fault):
    """A field has a value that cannot be."""

    def __init__(self, field: str, reason: str) -> None:
        """Name the field and say why its value cannot be."""
        super().__init__(f"{field}: {reason}", field=field)


class Conflict(Fault):
    """The request contradicts what exists."""


class InUse(Conflict):
    """Something else still needs the thing."""

    def __init__(self, noun: str, name: object, users: str) -> None:
        """Name the thing and what uses it."""
        super().__init__(f"{noun} {name} is in use by {users}.")
        self.noun = noun


class Changed(Conflict):
    """The thing is not what the caller saw when they decided to change it."""

    def __init__(self, noun: str, name: object) -> None:
        """Name the thing."""
        super().__init__(f"{noun} {name} was changed since: look again.")


class NotAssociated(Fault):
    """The floating IP is not associated with the named instance."""


class NotReady(Fault):
    """The instance has no fixed address yet."""


class QuotaExceeded(Fault):
    """The project has reached its limit."""

    def __init__(self, resource: str, limit: int) -> None:
        """Name the resource and the limit."""
        super().__init__(f"Quota exceeded for {resource}: the limit is {limit}.")
        self.resource = resource
        self.limit = limit


class TooManyAttempts(Fault):
    """Wrong passwords came too often; the same request may succeed later."""

    def __init__(self, retry_after: int) -> None:
        """Say after how many seconds to try again."""
        super().__init__(f"Too many failed log-ins. Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class Exhausted(Fault):
    """A pool or subnet has no free address."""


class Unavailable(Fault):
    """A part of mooring is away; the same request may succeed later."""

    def __init__(self, reason: str, *, retry_after: int = 5, detail: str | None = None) -> None:
        """Say what is away, and after how many seconds to try again."""
        super().__init__(reason, detail=detail)
        self.retry_after = retry_after
