"""The numbers by which hosts know security groups and networks."""

from sqlalchemy import bindparam, delete, exists, select

from mooring.model.faults import Exhausted
from mooring.model.ids import NetworkId
from mooring.model.subjects import SubjectKind
from mooring.store.schema import counters, deliveries, networks, zones
from mooring.store.schema.groups import LAST_ZONE
from mooring.store.session import Session

GROUPS, ZONES, SETS = "groups", "zones", "egress_sets"
_LEAP = 2**20
"""More groups than anybody makes between a backup of the database and its return."""

_LAST = select(counters.c.last).where(counters.c.name == bindparam("name"))
_OF_NETWORK = select(zones.c.zone).where(zones.c.network == bindparam("of_network"))
_TAKEN = select(zones.c.zone).where(zones.c.zone == bindparam("first"))
_NEXT = zones.alias()
_GAP = (
    select(zones.c.zone + 1)
    .where(
        zones.c.zone >= bindparam("first"),
        zones.c.zone < LAST_ZONE,
        ~select(_NEXT.c.zone).where(_NEXT.c.zone == zones.c.zone + 1).exists(),
    )
    .order_by(zones.c.zone)
    .limit(1)
)
_FORGET = delete(zones).where(
    zones.c.network == bindparam("of_network"),
    ~exists(select(networks.c.id).where(networks.c.id == bindparam("of_network"))),
    ~exists(
        select(deliveries.c.host).where(
            deliveries.c.subject == bindparam("of_network"), deliveries.c.kind == SubjectKind.NETWORK.value
        )
    ),
)


def new_group_number(session: Session) -> int:
    """Return a number that no group ever had."""
    return _count(session, GROUPS, 1)


def new_set_number(session: Session) -> int:
    """Return a number that no set of prefixes ever had."""
    return _count(session, SETS, 1)


def leave_out(session: Session) -> None:
    """Give no number to a group, or a set, that one may have had whose rows are lost: the database was put back to an older state."""
    _count(session, GROUPS, _LEAP)
    _count(session, SETS, _LEAP)


def add_zone(session: Session, network: NetworkId) -> bool:
    """Give a network that has none a zone, the next free one after the last that was given, so that each rests as long as possible.

    Raises:
        Exhausted: as many networks as there are zones have one.
    """
    if session.row(_OF_NETWORK, of_network=network) is not None:
        return False
    last = session.row(_LAST, name=ZONES)
    after = last[0] + 1 if last else 1
    zone = _free_from(session, after) or _free_from(session, 1)
    if zone is None:
        raise Exhausted(f"There are {LAST_ZONE} networks with filtered NICs, which is the most.")
    session.add(zones, zone=zone, network=network)
    _set(session, ZONES, zone)
    return True


def forget_zone(session: Session, network: str) -> None:
    """Let another network have the zone of one that is gone and that no host has still to give up."""
    session.change(_FORGET, of_network=network)


def _free_from(session: Session, first: int) -> int | None:
    if first > LAST_ZONE:
        return None
    if session.row(_TAKEN, first=first) is None:
        return first
    row = session.row(_GAP, first=first)
    return row[0] if row else None


def _count(session: Session, name: str, step: int) -> int:
    """Count a counter upwards, and return it."""
    statement = session.flavour.insert(counters)
    row = session.row(
        statement.on_conflict_do_update(
            index_elements=[counters.c.name],
            set_={"last": counters.c.last + statement.excluded.last},
        ).returning(counters.c.last),
        name=name,
        last=step,
    )
    if row is None:
        raise AssertionError("an upsert returns its row")
    return row[0]


def _set(session: Session, name: str, value: int) -> None:
    statement = session.flavour.insert(counters)
    session.change(
        statement.on_conflict_do_update(index_elements=[counters.c.name], set_={"last": statement.excluded.last}),
        name=name,
        last=value,
    )
