"""What a back-end can do, asked by those who choose and never by those who obey."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Traits:
    """A back-end's abilities.

    `moves_addresses`: an address can move between guests of this host without the guests' help.
    `counts_flows`: established flows of a withdrawn address are cut, not only new ones.
    """

    name: str
    moves_addresses: bool = True
    counts_flows: bool = True


class PortKind(StrEnum):
    """What a host's ports are made of: a guest driver says what it can take, and its host's back-end makes that.

    `VETH` is a pair whose other end goes into a namespace, `TAP` a device that a VM's process opens.
    """

    VETH = "veth"
    TAP = "tap"
