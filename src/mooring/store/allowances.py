"""Addresses that NICs may use beside their own, in the database."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Delete,
    and_,
    bindparam,
    delete,
    exists,
    func,
    null,
    select,
    union,
    update,
)

from mooring.model.ids import AddressId, NetworkId, NicId, ProjectId
from mooring.model.nouns import AddressKind
from mooring.model.records import Duplicate, NicRow
from mooring.model.subjects import MAX_EXTRA, SubjectKind
from mooring.store.addresses import Addresses
from mooring.store.marks import changed
from mooring.store.schema import addresses, allowances, claims, deliveries, nics
from mooring.store.schema.deliveries import concerned
from mooring.store.session import Session

Prefix = IPv4Network | IPv6Network

PREFIXES = select(allowances.c.nic, allowances.c.prefix).where(allowances.c.leaving.is_(null())).distinct()
"""What NICs may use, as it was asked for."""

ADDRESSES = select(allowances.c.nic, allowances.c.address).where(allowances.c.leaving.is_(null()))
"""What NICs may use, one by one."""

_OWNER = select(claims.c.project).where(
    claims.c.network == bindparam("of_network"), claims.c.address == bindparam("of_address")
)
_MINE = allowances.c.nic == bindparam("of_nic")
_PLACES = select(allowances.c.place).where(
    _MINE, allowances.c.family == bindparam("of_family"), allowances.c.place.is_not(null())
)
# What is on its way out may come back before it is gone.
_GONE = delete(allowances).where(
    _MINE, allowances.c.leaving.is_not(null()), allowances.c.address.in_(bindparam("of_addresses", expanding=True))
)
_LEAVE = (
    update(allowances)
    .where(_MINE, allowances.c.leaving.is_(null()), allowances.c.prefix.in_(bindparam("of_prefixes", expanding=True)))
    .values(place=null(), leaving=bindparam("generation", type_=BigInteger()))
)
_LEAVING = select(func.count()).select_from(allowances).where(_MINE, allowances.c.leaving.is_not(null()))

_THEIRS = allowances.alias("theirs")
_FIXED = addresses.alias("fixed")
_USED = (_MINE, allowances.c.leaving.is_(null()))
_SHARED = (_THEIRS.c.nic != bindparam("of_nic"), _THEIRS.c.leaving.is_(null()))
_IS_FIXED = (_FIXED.c.kind == AddressKind.FIXED.value, ~_FIXED.c.releasing)
# Each from the NIC's own end, by whole keys: a network may have any number of others.
_SHARERS: CompoundSelect[NicId | None] = union(
    select(_THEIRS.c.nic)
    .join(allowances, and_(allowances.c.network == _THEIRS.c.network, allowances.c.address == _THEIRS.c.address))
    .where(*_USED, *_SHARED),
    select(_THEIRS.c.nic)
    .join(_FIXED, and_(_FIXED.c.scope == _THEIRS.c.network, _FIXED.c.address == _THEIRS.c.address))
    .where(*_IS_FIXED, _FIXED.c.nic == bindparam("of_nic"), *_SHARED),
    select(_FIXED.c.nic)
    .join(allowances, and_(allowances.c.network == _FIXED.c.scope, allowances.c.address == _FIXED.c.address))
    .where(*_USED, *_IS_FIXED, _FIXED.c.nic != bindparam("of_nic")),
)

_BEHIND = exists(
    select(deliveries.c.host)
    .where(
        deliveries.c.kind == SubjectKind.NIC.value,
        deliveries.c.subject == allowances.c.nic,
        deliveries.c.confirmed < allowances.c.leaving,
        concerned(allowances.c.leaving),
    )
    .correlate(allowances),
)
"""A host of the NIC may still hold what was taken from it."""

_FORGET = delete(allowances).where(_MINE)
_CONFIRMED = _FORGET.where(allowances.c.leaving.is_not(null()), ~_BEHIND)
_NOBODYS = (
    delete(claims)
    .where(
        claims.c.network == bindparam("of_network"),
        claims.c.address.in_(bindparam("of_addresses", expanding=True)),
        ~exists(
            select(allowances.c.nic)
            .where(and_(allowances.c.network == claims.c.network, allowances.c.address == claims.c.address))
            .correlate(claims),
        ),
    )
    .returning(claims.c.own)
)


class Allowances:
    """See mooring.operations.interfaces_of_allowances.Allowances."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(
        self, network: NetworkId, address: IPv4Address | IPv6Address, project: ProjectId, own: AddressId | None
    ) -> bool:
        statement = self._session.flavour.insert(claims).inline().on_conflict_do_nothing()
        self._session.refusable(statement, network=network, address=str(address), project=project, own=own)
        owner = self._session.row(_OWNER, of_network=network, of_address=str(address))
        return owner is not None and owner[0] == project

    def add(self, nic: NicRow, prefix: Prefix) -> None:
        taken = {place for (place,) in self._session.rows(_PLACES, of_nic=nic.id, of_family=prefix.version)}
        free = [place for place in range(MAX_EXTRA) if place not in taken]
        if prefix.num_addresses > len(free):
            raise Duplicate("allowances.nic, allowances.family, allowances.place must be unique")
        texts = [str(address) for address in prefix]
        with self._session.whole():
            self._session.change(_GONE, of_nic=nic.id, of_addresses=texts)
            for place, text in zip(free, texts, strict=False):
                self._session.add(
                    allowances,
                    nic=nic.id,
                    network=nic.network,
                    address=text,
                    family=prefix.version,
                    prefix=str(prefix),
                    place=place,
                    leaving=None,
                )
            changed(self._session, nics, nic.id)

    def leave(self, nic: NicId, prefixes: Collection[Prefix], generation: int) -> None:
        self._session.change(_LEAVE, of_nic=nic, of_prefixes=sorted(map(str, prefixes)), generation=generation)
        changed(self._session, nics, nic)

    def leaving(self, nic: NicId) -> int:
        row = self._session.row(_LEAVING, of_nic=nic)
        return row[0] if row else 0

    def sharers(self, nic: NicId) -> Sequence[NicId]:
        return sorted(other for (other,) in self._session.rows(_SHARERS, of_nic=nic) if other is not None)

    def confirmed(self, nic: NicId) -> None:
        if self.leaving(nic):
            self._drop(_CONFIRMED, nic)

    def forget(self, nic: NicId) -> None:
        self._drop(_FORGET, nic)

    def _drop(self, dropping: Delete, nic: NicId) -> None:
        gone: dict[NetworkId, list[str]] = {}
        statement = dropping.returning(allowances.c.network, allowances.c.address)
        for network, address in self._session.rows(statement, of_nic=nic):
            gone.setdefault(network, []).append(address)
        for network, texts in gone.items():
            free = self._session.rows(_NOBODYS, of_network=network, of_addresses=texts)
            for (own,) in free:
                self._give_back(own)

    def _give_back(self, own: AddressId | None) -> None:
        """Free the row of an address that was kept for nobody but those who might use it beside their own."""
        kept = Addresses(self._session)
        row = kept.get(own) if own is not None else None
        if row is not None and row.nic is None:
            kept.free(row.id)
