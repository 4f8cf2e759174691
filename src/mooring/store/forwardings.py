"""Port forwardings in the database."""

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address

from sqlalchemy import Row, bindparam, delete, exists, literal, select, update

from mooring.model.ids import AddressId, ForwardingId, InstanceId, NetworkId, NicId, ProjectId
from mooring.model.nouns import PortForwarding
from mooring.model.records import Duplicate, Referenced
from mooring.model.subjects import Transport
from mooring.store.addresses import LOCK_USABLE
from mooring.store.marks import changed
from mooring.store.schema import addresses, associations, nics, port_forwardings
from mooring.store.session import Session

_P = port_forwardings
_FIXED = addresses.alias("fixed")

_ROWS = (
    select(
        _P.c.id,
        _P.c.project,
        _P.c.floating,
        addresses.c.position,
        _P.c.protocol,
        _P.c.first,
        _P.c.last,
        _P.c.goal,
        _FIXED.c.position,
        nics.c.id,
        nics.c.instance,
        nics.c.network,
        _P.c.description,
    )
    .select_from(_P)
    .join(addresses, addresses.c.id == _P.c.floating)
    .join(_FIXED, _FIXED.c.id == _P.c.fixed)
    .join(nics, nics.c.id == _FIXED.c.nic)
    .order_by(_P.c.seq)
)
_BY_ID = _ROWS.where(_P.c.id == bindparam("forwarding"))
_OF_PROJECT = _ROWS.where(_P.c.project == bindparam("project"))
_OF_FLOATING = _ROWS.where(_P.c.floating.in_(bindparam("floatings", expanding=True)))
_OF_NIC = _ROWS.where(_FIXED.c.nic == bindparam("nic"))
_IS_ASSOCIATED = select(literal(1)).where(
    exists(select(associations.c.pool).where(associations.c.floating == bindparam("floating")))
)
_OVERLAPS = select(literal(1)).where(
    exists(
        select(_P.c.id).where(
            _P.c.floating == bindparam("floating"),
            _P.c.protocol == bindparam("protocol"),
            _P.c.first <= bindparam("last"),
            _P.c.last >= bindparam("first"),
            _P.c.id != bindparam("id"),
        )
    )
)
_CHANGE = (
    update(_P)
    .where(_P.c.id == bindparam("forwarding"))
    .values(
        fixed=bindparam("new_fixed"),
        protocol=bindparam("new_protocol"),
        first=bindparam("new_first"),
        last=bindparam("new_last"),
        goal=bindparam("new_goal"),
        description=bindparam("new_description"),
    )
)
_DELETE = delete(_P).where(_P.c.id == bindparam("forwarding")).returning(_P.c.floating)

_Fields = Row[
    ForwardingId,
    ProjectId,
    AddressId,
    int,
    str,
    int,
    int,
    int,
    int,
    NicId,
    InstanceId,
    NetworkId,
    str,
]


class Forwardings:
    """See mooring.operations.interfaces_of_forwardings.Forwardings."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        with self._session.whole():
            self._check(forwarding, fixed)
            self._session.add(
                _P,
                id=forwarding.id,
                project=forwarding.project,
                floating=forwarding.floating,
                fixed=fixed,
                protocol=forwarding.protocol.value,
                first=forwarding.first,
                last=forwarding.last,
                goal=forwarding.to,
                description=forwarding.description,
            )
            changed(self._session, addresses, forwarding.floating)

    def change(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        with self._session.whole():
            self._check(forwarding, fixed)
            self._session.refusable(
                _CHANGE,
                forwarding=forwarding.id,
                new_fixed=fixed,
                new_protocol=forwarding.protocol.value,
                new_first=forwarding.first,
                new_last=forwarding.last,
                new_goal=forwarding.to,
                new_description=forwarding.description,
            )
            changed(self._session, addresses, forwarding.floating)

    def _check(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        """Look at the ports of a floating IP while nobody else can change any."""
        floating = forwarding.floating
        if len(self._session.rows(LOCK_USABLE, floating=floating, fixed=fixed)) != 2:
            raise Referenced("ports of an address that is not there or is being released cannot be forwarded")
        if self._session.row(_IS_ASSOCIATED, floating=floating) is not None:
            raise Referenced("an association has this address")
        taken = self._session.row(
            _OVERLAPS,
            floating=floating,
            protocol=forwarding.protocol.value,
            first=forwarding.first,
            last=forwarding.last,
            id=forwarding.id,
        )
        if taken is not None:
            raise Duplicate("port_forwardings.first must not lie in another's ports")

    def delete(self, forwarding: ForwardingId) -> bool:
        gone = self._session.row(_DELETE, forwarding=forwarding)
        if gone is not None:
            changed(self._session, addresses, gone[0])
        return gone is not None

    def get(self, forwarding: ForwardingId) -> PortForwarding | None:
        return next(iter(_forwardings(self._session.rows(_BY_ID, forwarding=forwarding))), None)

    def list(self, project: ProjectId | None) -> Sequence[PortForwarding]:
        if project is None:
            return _forwardings(self._session.rows(_ROWS))
        return _forwardings(self._session.rows(_OF_PROJECT, project=project))

    def of_floating(self, floatings: Collection[AddressId]) -> Sequence[PortForwarding]:
        return _forwardings(self._session.rows(_OF_FLOATING, floatings=sorted(floatings))) if floatings else ()

    def of_nic(self, nic: NicId) -> Sequence[PortForwarding]:
        return _forwardings(self._session.rows(_OF_NIC, nic=nic))


def _forwardings(rows: Iterable[_Fields]) -> Sequence[PortForwarding]:
    return [_forwarding(row) for row in rows]


def _forwarding(row: _Fields) -> PortForwarding:
    id, project, floating, position, protocol, first, last, goal, fixed, nic, instance, network, description = row
    return PortForwarding(
        id=id,
        project=project,
        floating=floating,
        address=IPv4Address(position),
        protocol=Transport(protocol),
        first=first,
        last=last,
        to=goal,
        fixed=IPv4Address(fixed),
        nic=nic,
        instance=instance,
        network=network,
        description=description,
    )
