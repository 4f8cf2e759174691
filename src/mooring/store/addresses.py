"""Addresses in use, the gaps between them, and associations in the database."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from sqlalchemy import Row, bindparam, case, delete, exists, literal, null, select, update

from mooring.model.ids import AddressId, NetworkId, NicId, PoolId, ProjectId
from mooring.model.marks import Tagged
from mooring.model.nouns import AddressKind, FloatingIp
from mooring.model.records import AddressRow, Duplicate, FloatingChoice, Referenced
from mooring.model.subjects import HostRole
from mooring.store import gaps
from mooring.store.floating import (
    FLOATING,
    FLOATING_BY_ID,
    FLOATING_BY_POSITION,
    FLOATING_OF_PROJECT,
    PIECE,
    SEQS_OF_NICS,
    chosen,
    floating_ips,
)
from mooring.store.marks import changed, forget_tags
from mooring.store.schema import (
    addresses,
    associations,
    claims,
    cursors,
    deliveries,
    lingering,
    networks,
    nics,
    port_forwardings,
)
from mooring.store.schema.deliveries import concerned
from mooring.store.session import Session

_BEHIND = (
    select(deliveries.c.host)
    .where(
        # Whether a NIC or a router: ids are nobody else's.
        deliveries.c.subject == lingering.c.nic,
        deliveries.c.confirmed < lingering.c.generation,
        concerned(lingering.c.generation),
    )
    .correlate(lingering)
)
"""A host of a lingering row's NIC or router that has not confirmed yet."""

_GATEWAY_BEHIND = _BEHIND.where(deliveries.c.role == HostRole.GATEWAY.value)
"""A gateway of a lingering row's NIC that has not confirmed yet."""

_ROWS = select(
    addresses.c.id,
    addresses.c.scope,
    addresses.c.position,
    addresses.c.kind,
    addresses.c.project,
    addresses.c.pool,
    addresses.c.network,
    addresses.c.nic,
    addresses.c.releasing,
)
_ROW = _ROWS.where(addresses.c.id == bindparam("address"))
_ROW_AT = _ROWS.where(addresses.c.scope == bindparam("scope"), addresses.c.position == bindparam("position"))
_FIXED_OF_NIC = _ROWS.where(
    addresses.c.nic == bindparam("nic"),
    addresses.c.kind == AddressKind.FIXED.value,
).order_by(addresses.c.seq)
_HELD = (
    select(lingering.c.nic, lingering.c.generation)
    .where(lingering.c.address == bindparam("address"), exists(_BEHIND))
    .order_by(lingering.c.nic)
)
_OTHER = lingering.alias("other")
_RELEASING = (
    _ROWS.add_columns(lingering.c.generation)
    .join(lingering, lingering.c.address == addresses.c.id)
    .where(
        lingering.c.nic == bindparam("nic"),
        addresses.c.releasing,
        ~exists(
            select(_OTHER.c.nic)
            .join(deliveries, deliveries.c.subject == _OTHER.c.nic)
            .where(
                _OTHER.c.address == addresses.c.id,
                _OTHER.c.nic != bindparam("nic"),
                deliveries.c.confirmed < _OTHER.c.generation,
                concerned(_OTHER.c.generation),
            ),
        ),
    )
    .order_by(addresses.c.seq)
)

_CURSOR = select(cursors.c.position).where(cursors.c.owner == bindparam("owner"))
# FOR UPDATE (PostgreSQL; SQLite has one writer anyway): nobody releases an address while another associates it.
LOCK_USABLE = (
    select(addresses.c.id)
    .where(addresses.c.id.in_([bindparam("floating"), bindparam("fixed")]), ~addresses.c.releasing)
    .order_by(addresses.c.id)
    .with_for_update()
)
_LOCK = select(addresses.c.nic).where(addresses.c.id == bindparam("address")).with_for_update()
_DISASSOCIATE = delete(associations).where(associations.c.floating == bindparam("floating"))
_FLOATING_OF_FIXED = (
    select(associations.c.floating)
    .join(addresses, addresses.c.id == associations.c.floating)
    .where(associations.c.fixed == bindparam("fixed"))
    .order_by(addresses.c.seq)
)
_BESIDE = select(associations.c.pool, associations.c.slot, associations.c.position).where(
    associations.c.fixed == bindparam("fixed")
)
_AUTOMATIC_OF_FIXED = select(associations.c.floating).where(
    associations.c.fixed == bindparam("fixed"), associations.c.automatic
)
_IS_ASSOCIATED = select(literal(1)).where(
    exists(select(associations.c.pool).where(associations.c.floating == bindparam("address")))
    | exists(select(associations.c.pool).where(associations.c.fixed == bindparam("address")))
    | exists(select(port_forwardings.c.id).where(port_forwardings.c.floating == bindparam("address")))
    | exists(select(port_forwardings.c.id).where(port_forwardings.c.fixed == bindparam("address"))),
)
_IS_FORWARDED = select(literal(1)).where(
    exists(select(port_forwardings.c.id).where(port_forwardings.c.floating == bindparam("floating")))
)
_RELEASE = (
    update(addresses)
    .where(addresses.c.id == bindparam("address_id"), ~addresses.c.releasing)
    .values(
        releasing=True,
        # The pool of one that a router had for itself may go before it.
        pool=case((addresses.c.kind == AddressKind.ROUTER.value, null()), else_=addresses.c.pool),
    )
)
_KEEP = (
    update(addresses)
    .where(addresses.c.id == bindparam("kept"), exists(select(claims.c.own).where(claims.c.own == bindparam("kept"))))
    .values(nic=null(), releasing=False)
)
"""Leave an address in use that NICs may use beside their own."""

_FREE = delete(addresses).where(addresses.c.id == bindparam("address"))
_FORGET_CONFIRMED = delete(lingering).where(lingering.c.address == bindparam("address"), ~exists(_BEHIND))
_FORGET_CONFIRMED_OF = delete(lingering).where(lingering.c.nic == bindparam("of_nic"), ~exists(_BEHIND))
_HEIRS = (
    select(addresses.c.nic)
    .select_from(lingering)
    .join(associations, associations.c.floating == lingering.c.address)
    .join(addresses, addresses.c.id == associations.c.fixed)
    .where(
        lingering.c.nic == bindparam("of_nic"),
        addresses.c.nic != bindparam("of_nic"),
        ~exists(_GATEWAY_BEHIND),
    )
    .distinct()
    .order_by(addresses.c.nic)
)
_OLD_NIC, _OLD_NETWORK = nics.alias("old_nic"), networks.alias("old_network")
# Behind one router ports of an address go from guest to guest in one place: only another router was kept waiting.
_HEIRS_OF_PORTS = (
    select(addresses.c.nic)
    .select_from(lingering)
    .join(port_forwardings, port_forwardings.c.floating == lingering.c.address)
    .join(addresses, addresses.c.id == port_forwardings.c.fixed)
    .join(nics, nics.c.id == addresses.c.nic)
    .join(networks, networks.c.id == nics.c.network)
    .where(
        lingering.c.nic == bindparam("of_nic"),
        addresses.c.nic != bindparam("of_nic"),
        ~exists(_GATEWAY_BEHIND),
        ~exists(
            select(_OLD_NIC.c.id)
            .join(_OLD_NETWORK, _OLD_NETWORK.c.id == _OLD_NIC.c.network)
            .where(_OLD_NIC.c.id == lingering.c.nic, _OLD_NETWORK.c.router == networks.c.router)
            .correlate(lingering, networks)
        ),
    )
    .distinct()
    .order_by(addresses.c.nic)
)

_AddressFields = Row[
    AddressId,
    str,
    int,
    str,
    ProjectId | None,
    PoolId | None,
    NetworkId | None,
    NicId | None,
    bool,
]


class Addresses:
    """See mooring.operations.interfaces.Addresses."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, row: AddressRow) -> bool:
        position = int(row.address)
        # Not told apart by a count of rows: what PostgreSQL's driver says of an INSERT is -1.
        statement = self._session.flavour.insert(addresses).on_conflict_do_nothing().returning(addresses.c.id)
        with self._session.refusals():
            taken = self._session.row(
                statement,
                id=row.id,
                scope=row.scope,
                address=str(row.address),
                position=position,
                kind=row.kind.value,
                project=row.project,
                pool=row.pool,
                network=row.network,
                nic=row.nic,
                releasing=row.releasing,
            )
        if taken is not None:
            gaps.count_up(self._session, row.scope, position)
            if row.nic is not None:
                changed(self._session, nics, row.nic)
            return True
        if self.find(row.scope, row.address) is None:
            raise Duplicate("addresses.id must be unique")
        return False

    def first_gap(self, scope: str, first: IPv4Address, last: IPv4Address) -> IPv4Address | None:
        gap = gaps.first_gap(self._session, scope, int(first), int(last))
        return IPv4Address(gap) if gap is not None else None

    def count(self, scope: str, first: IPv4Address, last: IPv4Address) -> int:
        return gaps.count(self._session, scope, int(first), int(last))

    def cursor(self, owner: PoolId | NetworkId) -> IPv4Address | None:
        row = self._session.row(_CURSOR, owner=owner)
        return IPv4Address(row[0]) if row else None

    def set_cursor(self, owner: PoolId | NetworkId, address: IPv4Address) -> None:
        statement = self._session.flavour.insert(cursors)
        self._session.change(
            statement.on_conflict_do_update(
                index_elements=[cursors.c.owner],
                set_={"position": statement.excluded.position},
            ),
            owner=owner,
            position=int(address),
        )

    def get(self, address: AddressId) -> AddressRow | None:
        return self._row(self._session.row(_ROW, address=address))

    def find(self, scope: str, address: IPv4Address) -> AddressRow | None:
        return self._row(self._session.row(_ROW_AT, scope=scope, position=int(address)))

    def _row(self, row: _AddressFields | None) -> AddressRow | None:
        if row is None:
            return None
        held = self._session.row(_HELD, address=row[0])
        return _address_row(row, *held) if held else _address_row(row)

    def fixed_of_nic(self, nic: NicId) -> Sequence[AddressRow]:
        return [_address_row(row) for row in self._session.rows(_FIXED_OF_NIC, nic=nic)]

    def floating(self, project: ProjectId, address: AddressId) -> FloatingIp | None:
        found = floating_ips(self._session.rows(FLOATING_BY_ID, address=address, project=project))
        return found[0] if found else None

    def floating_by_address(self, address: IPv4Address) -> FloatingIp | None:
        found = floating_ips(self._session.rows(FLOATING_BY_POSITION, position=int(address)))
        return found[0] if found else None

    def floating_ips(self, project: ProjectId | None) -> Sequence[FloatingIp]:
        if project is None:
            return floating_ips(self._session.rows(FLOATING))
        return floating_ips(self._session.rows(FLOATING_OF_PROJECT, project=project))

    def walk_floating_ips(self, project: ProjectId | None, choice: FloatingChoice) -> Iterator[Sequence[FloatingIp]]:
        seqs = [seq for (seq,) in self._session.rows(SEQS_OF_NICS, nics=choice.nics)] if choice.nics else []
        for rows in self._session.pieces(chosen(project, choice, seqs), PIECE):
            yield floating_ips(rows)

    def associate(
        self, floating: AddressId, fixed: AddressId, pool: PoolId, *, most: int = 1, automatic: bool = False
    ) -> None:
        if len(self._session.rows(LOCK_USABLE, floating=floating, fixed=fixed)) != 2:
            raise Referenced("an address that is not there or is being released cannot be associated")
        if self._session.row(_IS_FORWARDED, floating=floating) is not None:
            raise Referenced("ports of this address are forwarded")
        others = self._session.rows(_BESIDE, fixed=fixed)
        slots = {slot for of, slot, _ in others if of == pool}
        self._session.add(
            associations,
            floating=floating,
            fixed=fixed,
            pool=pool,
            # Where all are taken it is one that is: the constraint says what is wrong.
            slot=next((slot for slot in range(1, most + 1) if slot not in slots), most),
            position=max((position for *_, position in others), default=0) + 1,
            automatic=automatic,
        )
        changed(self._session, addresses, floating)

    def disassociate(self, floating: AddressId) -> bool:
        gone = self._session.change(_DISASSOCIATE, floating=floating) == 1
        if gone:
            changed(self._session, addresses, floating)
        return gone

    def floating_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]:
        return [floating for (floating,) in self._session.rows(_FLOATING_OF_FIXED, fixed=fixed)]

    def automatic_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]:
        return sorted(floating for (floating,) in self._session.rows(_AUTOMATIC_OF_FIXED, fixed=fixed))

    def linger(self, address: AddressId, nic: NicId, generation: int) -> None:
        # What every host has confirmed need not be remembered, so that an address that moves every day stays light.
        self._session.change(_FORGET_CONFIRMED, address=address)
        statement = self._session.flavour.insert(lingering)
        newer = case(
            (lingering.c.generation < statement.excluded.generation, statement.excluded.generation),
            else_=lingering.c.generation,
        )
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[lingering.c.address, lingering.c.nic],
                set_={"generation": newer},
            ),
            address=address,
            nic=nic,
            generation=generation,
        )

    def release(self, address: AddressId) -> bool:
        locked = self._session.row(_LOCK, address=address)
        if self._session.row(_IS_ASSOCIATED, address=address) is not None:
            raise Referenced("an association or a port forwarding needs this address")
        nic = locked[0] if locked is not None else None
        if nic is not None:
            changed(self._session, nics, nic)
        released = self._session.change(_RELEASE, address_id=address) == 1
        if released:
            forget_tags(self._session, Tagged.FLOATING_IP, address)
        return released

    def free(self, address: AddressId) -> None:
        row = self._session.row(_ROW, address=address)
        if row is None or self._session.change(_KEEP, kept=address):
            return
        if self._session.refusable(_FREE, address=address):
            if (nic := row[7]) is not None:
                changed(self._session, nics, nic)
            forget_tags(self._session, Tagged.FLOATING_IP, address)
            gaps.count_down(self._session, row[1], row[2])

    def releasing(self, nic: NicId) -> Sequence[AddressRow]:
        found: list[AddressRow] = []
        for *fields, generation in self._session.rows(_RELEASING, nic=nic):
            found.append(_address_row(fields, nic, generation))  # type: ignore[arg-type]  # a row's fields, in the order of its statement
        return found

    def heirs(self, nic: NicId) -> Sequence[NicId]:
        rows = [*self._session.rows(_HEIRS, of_nic=nic), *self._session.rows(_HEIRS_OF_PORTS, of_nic=nic)]
        found = list(dict.fromkeys(heir for (heir,) in rows if heir is not None))
        self._session.change(_FORGET_CONFIRMED_OF, of_nic=nic)
        return found


def _address_row(row: _AddressFields, release_nic: NicId | None = None, release_generation: int = 0) -> AddressRow:
    address, scope, position, kind, project, pool, network, nic, releasing = row
    return AddressRow(
        id=address,
        scope=scope,
        address=IPv4Address(position),
        kind=AddressKind(kind),
        project=project,
        pool=pool,
        network=network,
        nic=nic,
        releasing=releasing,
        release_nic=release_nic,
        release_generation=release_generation,
    )
