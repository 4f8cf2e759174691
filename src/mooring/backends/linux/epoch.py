"""The epoch of a host's filters: which known flows were judged by the rules that are in force.

An admitted flow carries the epoch's number and passes by it.  A new epoch begins in the transaction that takes something back: from then on
each flow is judged once more, and what is not admitted now has ended.  What only adds needs none, and every flow keeps its quick way.

How does a restarted agent know that the epoch is as it should be?  One number stands in the set and, for both families, in the map; which one
it is doesn't matter, and it is no fact.
"""

import secrets
import struct

from mooring.backends.linux.nfnetlink import Nfnetlink
from mooring.backends.linux.transactions import Message, drop_all_elements, element, put_elements
from mooring.compile.facts import Delta
from mooring.compile.tables import FILTERED, MEMBERS4, MEMBERS6, OF_GROUPS, SLOTS4, SLOTS6, ZONE

_TABLE = "mooring"
_IPV4, _IPV6 = 2, 10  # linux/netfilter.h
_JUDGING = frozenset({ZONE, FILTERED, *SLOTS4, *SLOTS6, MEMBERS4, MEMBERS6, *OF_GROUPS})
_NARROWING = frozenset({ZONE, FILTERED, SLOTS4[0], SLOTS6[0]})
"""What is put there makes an address that of a filtered port, and flows that passed as somebody else's are to be judged."""


def ends_with(delta: Delta) -> bool:
    """Say whether a change of elements takes something back, so that flows may have to end."""
    return any(key.table in _JUDGING for key in delta.drop) or any(key.table in _NARROWING for key in delta.put)


def beginning() -> list[Message]:
    """Return the messages that begin a new epoch."""
    number = struct.pack("=I", _fresh())
    families = [element(bytes([family]), data=number) for family in (_IPV4, _IPV6)]
    return [
        drop_all_elements("inet", _TABLE, "current"),
        drop_all_elements("inet", _TABLE, "epoch"),
        *put_elements(("inet", _TABLE, "current"), [element(number)]),
        *put_elements(("inet", _TABLE, "epoch"), families),
    ]


def beginning_as_text() -> str:
    """Return the commands that begin a new epoch."""
    number = _fresh()
    return (
        f"flush set inet {_TABLE} current\n"
        f"flush map inet {_TABLE} epoch\n"
        f"add element inet {_TABLE} current {{ {number} }}\n"
        f"add element inet {_TABLE} epoch {{ ipv4 : {number}, ipv6 : {number} }}\n"
    )


def _fresh() -> int:
    return 1 << 31 | secrets.randbits(31)  # no flow has it, nor has one that was never marked


def is_one(nfnetlink: Nfnetlink) -> bool:
    """Say whether set and map have one number.

    Raises:
        Interrupted: the rules changed meanwhile.
        OSError: they are not there.
    """
    current = [key for key, _, _ in nfnetlink.elements("inet", _TABLE, "current")]
    written = [data for _, _, data in nfnetlink.elements("inet", _TABLE, "epoch")]
    return len(current) == 1 and len(written) == 2 and set(written) == set(current)
