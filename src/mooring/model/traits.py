"""What a back-end can do, asked by those who choose and never by those who obey."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traits:
    """A back-end's abilities.

    `moves_addresses`: an address can move between guests of this host without the guests' help.
    `counts_flows`: established flows of a withdrawn address are cut, not only new ones.
    """

    name: str
    moves_addresses: bool = True
    counts_flows: bool = True
