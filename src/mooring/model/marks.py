"""What is kept of every thing of a network that projects see, whatever it is: how often it changed, when, and what it is tagged with."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

MOST_TAGS = 50
"""So many tags a thing can have."""

LONGEST_TAG = 60
"""So many characters a tag can have."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Tagged(StrEnum):
    """What can be tagged."""

    NETWORK = "network"
    SUBNET = "subnet"
    NIC = "nic"
    ROUTER = "router"
    FLOATING_IP = "floating_ip"
    SECURITY_GROUP = "security_group"
    SUBNET_POOL = "subnet_pool"


@dataclass(frozen=True, slots=True)
class Marks:
    """A thing's `revision`, which grows in the transaction of every change of what is shown of it, maybe by more than one.

    `created` and `updated`, when it changed last, are moments in UTC; what was there before they were kept was created when that began.  `tags`
    are in their order.  What is not from a store has revision 0.
    """

    revision: int = 0
    created: datetime = _BEGINNING
    updated: datetime = _BEGINNING
    tags: tuple[str, ...] = ()


UNMARKED = Marks()
