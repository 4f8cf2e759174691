"""Egress preferences in the database."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, or_, select, update

from mooring.model.ids import (
    AddressId,
    InstanceId,
    NetworkId,
    NicId,
    PoolId,
    PreferenceId,
    ProjectId,
    UplinkId,
)
from mooring.model.nouns import AddressKind
from mooring.model.preferences import EgressPreference, EgressScope, EgressWay
from mooring.model.subjects import MOST_UPLINKS, Egress
from mooring.policy.egress import Known, Told, Way, counting, preferred, set_name
from mooring.store import numbers
from mooring.store.schema import (
    addresses,
    associations,
    egress_preferences,
    egress_renewals,
    egress_sets,
    instances,
    nics,
    pools,
    uplinks,
)
from mooring.store.session import Session

_P = egress_preferences
_FIXED = addresses.alias("fixed")
_FLOATING = addresses.alias("floating")
_LEADS = associations.alias("leads")
_GOAL = addresses.alias("goal")
_OTHER_POOL = pools.alias("other_pool")
_OTHER_UPLINK = uplinks.alias("other_uplink")
_OTHER = addresses.alias("other")
_OTHER_LEADS = associations.alias("other_leads")
_OTHER_GOAL = addresses.alias("other_goal")

REACHES = and_(
    _P.c.project == instances.c.project,
    or_(
        _P.c.scope == EgressScope.PROJECT.value,
        _P.c.nic == nics.c.id,
        _P.c.instance == nics.c.instance,
        _P.c.network == nics.c.network,
    ),
)
"""Which preferences reach which NICs; those for one address name its NIC."""

TellsSelect = Select[NicId, str, str, int, PoolId, UplinkId, int, int, int, PoolId, UplinkId, int, int, int]


def tells(of_nics: ColumnElement[bool]) -> TellsSelect:
    """Return the statement that reads the preferences which reach some NICs."""
    return (
        select(
            nics.c.id,
            _P.c.scope,
            _P.c.prefix,
            _FIXED.c.position,
            pools.c.id,
            uplinks.c.id,
            uplinks.c.seq,
            _FLOATING.c.position,
            _GOAL.c.position,
            _OTHER_POOL.c.id,
            _OTHER_UPLINK.c.id,
            _OTHER_UPLINK.c.seq,
            _OTHER.c.position,
            _OTHER_GOAL.c.position,
        )
        .select_from(nics)
        .join(instances, instances.c.id == nics.c.instance)
        .join(_P, REACHES)
        .join(pools, pools.c.id == _P.c.pool)
        .join(uplinks, uplinks.c.id == pools.c.uplink)
        .outerjoin(_FIXED, _FIXED.c.id == _P.c.fixed)
        .outerjoin(_FLOATING, _FLOATING.c.id == _P.c.floating)
        .outerjoin(_LEADS, _LEADS.c.floating == _P.c.floating)
        .outerjoin(_GOAL, _GOAL.c.id == _LEADS.c.fixed)
        .outerjoin(_OTHER_POOL, _OTHER_POOL.c.id == _P.c.fallback_pool)
        .outerjoin(_OTHER_UPLINK, _OTHER_UPLINK.c.id == _OTHER_POOL.c.uplink)
        .outerjoin(_OTHER, _OTHER.c.id == _P.c.fallback_floating)
        .outerjoin(_OTHER_LEADS, _OTHER_LEADS.c.floating == _P.c.fallback_floating)
        .outerjoin(_OTHER_GOAL, _OTHER_GOAL.c.id == _OTHER_LEADS.c.fixed)
        .where(of_nics)
    )


TellsRow = Row[NicId, str, str, int, PoolId, UplinkId, int, int, int, PoolId, UplinkId, int, int, int]


def told_of(rows: Iterable[TellsRow]) -> Mapping[NicId, list[Told]]:
    """Put preferences together by the NICs that they reach."""
    found: defaultdict[NicId, list[Told]] = defaultdict(list)
    for row in rows:
        nic, scope, prefix, fixed, pool, uplink, number, floating, goal = row[:9]
        other_pool, other_uplink, other_number, other_floating, other_goal = row[9:]
        way = _way(pool, uplink, number, floating, goal)
        # Without a fallback the outer joins leave these empty, whatever their columns say.
        other = _way(other_pool, other_uplink, other_number, other_floating, other_goal) if other_pool else None
        found[nic].append(Told(EgressScope(scope), IPv4Network(prefix), way, other, _address(fixed)))
    return found


def _way(pool: PoolId, uplink: UplinkId, number: int, floating: int | None, goal: int | None) -> Way:
    return Way(pool, uplink, uplink_number(number), _address(floating), _address(goal))


def _address(position: int | None) -> IPv4Address | None:
    return None if position is None else IPv4Address(position)


def uplink_number(seq: int) -> int:
    """Return the number by which hosts know an uplink: in the order of creation; one more than hosts have numbers for has none."""
    return seq if seq <= MOST_UPLINKS else 0


SETS = select(egress_sets.c.prefixes, egress_sets.c.number).where(
    egress_sets.c.prefixes.in_(bindparam("prefixes", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Preferring:
    """A fixed IP that preferences reach, how often its flows were ended, and by which public addresses it is known."""

    nic: NicId
    fixed: IPv4Address
    renewed: int
    known: Known


def egress_of(
    session: Session, told: Mapping[NicId, list[Told]], preferring: Sequence[Preferring]
) -> Mapping[tuple[NicId, IPv4Address], Egress]:
    """Return what fixed IPs prefer, with the numbers of their sets of prefixes."""
    counted = {(each.nic, each.fixed): counting(told.get(each.nic, ()), each.fixed) for each in preferring}
    names = {key: set_name(found) for key, found in counted.items()}
    wanted = sorted(set(names.values()) - {""})
    found = session.rows(SETS, prefixes=wanted) if wanted else ()
    numbers_of = {row[0]: row[1] for row in found}
    return {
        key: Egress(numbers_of.get(names[key], 0), preferred(counted[key], each.fixed, each.known), each.renewed)
        for each in preferring
        for key in [(each.nic, each.fixed)]
    }


_NAMED = nics.c.id.in_(bindparam("nics", expanding=True))
_TOLD = tells(_NAMED)
_ADDRESSES = select(addresses.c.nic, addresses.c.position).where(
    addresses.c.nic.in_(bindparam("nics", expanding=True)),
    addresses.c.kind == AddressKind.FIXED.value,
    ~addresses.c.releasing,
)

_POOL_NAMES = pools.alias("fallback")
_PREFERENCES = (
    select(
        _P.c.id,
        _P.c.project,
        _P.c.scope,
        _P.c.target,
        _P.c.prefix,
        pools.c.id,
        pools.c.name,
        _P.c.floating,
        _FLOATING.c.position,
        _POOL_NAMES.c.id,
        _POOL_NAMES.c.name,
        _P.c.fallback_floating,
        _OTHER.c.position,
        _P.c.nic,
        _FIXED.c.position,
    )
    .select_from(_P)
    .join(pools, pools.c.id == _P.c.pool)
    .outerjoin(_FIXED, _FIXED.c.id == _P.c.fixed)
    .outerjoin(_FLOATING, _FLOATING.c.id == _P.c.floating)
    .outerjoin(_POOL_NAMES, _POOL_NAMES.c.id == _P.c.fallback_pool)
    .outerjoin(_OTHER, _OTHER.c.id == _P.c.fallback_floating)
    .order_by(_P.c.seq)
)
_ONE = _PREFERENCES.where(_P.c.id == bindparam("preference"))
_OF_PROJECT = _PREFERENCES.where(_P.c.project == bindparam("project"))
_OF_FLOATING = _PREFERENCES.where(
    or_(_P.c.floating == bindparam("floating"), _P.c.fallback_floating == bindparam("floating"))
)
_OF_POOL = _PREFERENCES.where(or_(_P.c.pool == bindparam("pool"), _P.c.fallback_pool == bindparam("pool")))
_REACHED = (
    select(nics.c.id)
    .join(instances, instances.c.id == nics.c.instance)
    .join(_P, REACHES)
    .where(_P.c.id == bindparam("preference"))
    .order_by(nics.c.seq)
)
_CHANGE = (
    update(_P)
    .where(_P.c.id == bindparam("preference"))
    .values(
        pool=bindparam("new_pool"),
        floating=bindparam("new_floating"),
        fallback_pool=bindparam("new_fallback_pool"),
        fallback_floating=bindparam("new_fallback_floating"),
    )
)
_DELETE = delete(_P).where(_P.c.id == bindparam("preference"))

_Fields = Row[
    PreferenceId,
    ProjectId,
    str,
    str,
    str,
    PoolId,
    str,
    AddressId | None,
    int,
    PoolId,
    str,
    AddressId | None,
    int,
    NicId | None,
    int,
]


class Preferences:
    """See mooring.operations.interfaces_of_egress.Preferences."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, preference: EgressPreference, fixed: AddressId | None) -> None:
        scope, target, fallback = preference.scope, preference.target, preference.fallback
        self._session.add(
            _P,
            id=preference.id,
            project=preference.project,
            scope=scope.value,
            target=target,
            fixed=fixed,
            nic=preference.nic if scope is EgressScope.ADDRESS else (target if scope is EgressScope.NIC else None),
            instance=InstanceId(target) if scope is EgressScope.INSTANCE else None,
            network=NetworkId(target) if scope is EgressScope.NETWORK else None,
            prefix=str(preference.prefix),
            pool=preference.way.pool,
            floating=preference.way.floating,
            fallback_pool=fallback.pool if fallback is not None else None,
            fallback_floating=fallback.floating if fallback is not None else None,
        )

    def get(self, preference: PreferenceId) -> EgressPreference | None:
        return next(iter(_preferences(self._session.rows(_ONE, preference=preference))), None)

    def list(self, project: ProjectId) -> Sequence[EgressPreference]:
        return _preferences(self._session.rows(_OF_PROJECT, project=project))

    def of_floating(self, floating: AddressId) -> Sequence[EgressPreference]:
        return _preferences(self._session.rows(_OF_FLOATING, floating=floating))

    def of_pool(self, pool: PoolId) -> Sequence[EgressPreference]:
        return _preferences(self._session.rows(_OF_POOL, pool=pool))

    def reached(self, preference: PreferenceId) -> Sequence[NicId]:
        return [nic for (nic,) in self._session.rows(_REACHED, preference=preference)]

    def change(self, preference: PreferenceId, way: EgressWay, fallback: EgressWay | None) -> None:
        self._session.change(
            _CHANGE,
            preference=preference,
            new_pool=way.pool,
            new_floating=way.floating,
            new_fallback_pool=fallback.pool if fallback is not None else None,
            new_fallback_floating=fallback.floating if fallback is not None else None,
        )

    def delete(self, preference: PreferenceId) -> None:
        self._session.change(_DELETE, preference=preference)

    def number_sets(self, nics: Collection[NicId]) -> None:
        told = told_of(self._session.rows(_TOLD, nics=list(nics)))
        if not told:
            return
        wanted = {
            set_name(counting(told[nic], IPv4Address(position)))
            for nic, position in self._session.rows(_ADDRESSES, nics=list(told))
            if nic is not None
        } - {""}
        known = {name for name, _ in self._session.rows(SETS, prefixes=sorted(wanted))}
        for name in sorted(wanted - known):
            self._session.add(egress_sets, number=numbers.new_set_number(self._session), prefixes=name)

    def renew(self, fixed: AddressId) -> None:
        statement = self._session.flavour.insert(egress_renewals)
        self._session.change(
            statement.on_conflict_do_update(
                index_elements=[egress_renewals.c.fixed], set_={"times": egress_renewals.c.times + 1}
            ),
            fixed=fixed,
            times=1,
        )


def _preferences(rows: Iterable[_Fields]) -> list[EgressPreference]:
    found: list[EgressPreference] = []
    for row in rows:
        preference, project, scope, target, prefix, pool, name, floating, position = row[:9]
        other, other_name, other_floating, other_position, nic, fixed = row[9:]
        fallback = EgressWay(other, other_name, other_floating, _address(other_position)) if other else None
        way = EgressWay(pool, name, floating, _address(position))
        network = IPv4Network(prefix)
        kind = EgressScope(scope)
        found.append(EgressPreference(preference, project, kind, target, network, way, fallback, nic, _address(fixed)))
    return found
