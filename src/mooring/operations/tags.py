"""Tags: words of their own that projects find their things by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Forbidden, Invalid, NotFound
from mooring.model.ids import AddressId, GroupId, NetworkId, NicId, ProjectId, RouterId, SubnetPoolId
from mooring.model.marks import MOST_TAGS, Marks, Tagged
from mooring.operations.addresses import visible_floating
from mooring.operations.door import Door, check_revision, visible_nic
from mooring.operations.events import note
from mooring.operations.groups import visible_group
from mooring.operations.interfaces import Transaction
from mooring.operations.pools import usable_pools
from mooring.operations.subnet_pools import visible_subnet_pool
from mooring.policy.roles import Verb
from mooring.policy.tags import tag_fault


@dataclass(frozen=True, slots=True)
class _Thing:
    """What is tagged: whose it is, None for everybody's, and how often it changed."""

    owner: ProjectId | None
    marks: Marks


class TagOperations:
    """Tags of all things that can have some."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def of(self, caller: Caller, kind: Tagged, thing: str) -> Sequence[str]:
        """Return the tags of a thing, in their order.

        Raises:
            NotFound: there is no such thing that the caller may know of.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            _FINDERS[kind](tx, caller, thing)
            return tx.tags.of(kind, thing)

    def set(self, caller: Caller, kind: Tagged, thing: str, tags: Sequence[str]) -> Sequence[str]:
        """Give a thing these tags and no others, and return them in their order; one that is named twice is one.

        Raises:
            NotFound: there is no such thing that the caller may know of.
            Forbidden: it is not the project's own, and the caller no administrator.
            Invalid: a text that can be no tag, or too many.
        """
        return self._change(caller, kind, thing, lambda _: tags)

    def add(self, caller: Caller, kind: Tagged, thing: str, tag: str) -> Sequence[str]:
        """Give a thing one tag more; one that it has stays.  What holds of `set` holds here."""
        return self._change(caller, kind, thing, lambda known: [*known, tag])

    def remove(self, caller: Caller, kind: Tagged, thing: str, tag: str) -> Sequence[str]:
        """Take one tag from a thing.  What holds of `set` holds here.

        Raises:
            NotFound: the thing does not have it.
        """

        def less(known: Sequence[str]) -> Sequence[str]:
            if tag not in known:
                raise NotFound("Tag", tag)
            return [each for each in known if each != tag]

        return self._change(caller, kind, thing, less)

    def _change(
        self, caller: Caller, kind: Tagged, thing: str, change: Callable[[Sequence[str]], Sequence[str]]
    ) -> Sequence[str]:
        self._door.allow(caller, _VERBS.get(kind, Verb.NETWORK_CHANGE))
        with self._door.store.write() as tx:
            found = _FINDERS[kind](tx, caller, thing)
            if found.owner != caller.project.id and not caller.is_admin:
                raise Forbidden("This is not your project's.", detail=f"{kind} {thing} is the operator's")
            check_revision(caller, kind.replace("_", " ").capitalize(), thing, found.marks)
            known = tx.tags.of(kind, thing)
            wanted = _checked(change(known))
            if wanted != known:
                tx.tags.set(kind, thing, wanted)
                note(tx, caller, Action.TAGS_SET, thing, found.owner, kind=kind.value, tags=", ".join(wanted))
        return wanted


def _checked(tags: Sequence[str]) -> list[str]:
    for tag in tags:
        if (reason := tag_fault(tag)) is not None:
            raise Invalid("tags", reason)
    wanted = sorted(set(tags))
    if len(wanted) > MOST_TAGS:
        raise Invalid("tags", f"a thing has at most {MOST_TAGS}")
    return wanted


_VERBS: Mapping[Tagged, Verb] = {
    Tagged.NIC: Verb.INSTANCE_CHANGE,
    Tagged.FLOATING_IP: Verb.ADDRESS_ASSOCIATE,
    Tagged.SECURITY_GROUP: Verb.GROUP_CHANGE,
}


def _network(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = tx.own.bare(NetworkId(thing)) or tx.topology.network(NetworkId(thing))
    if known is not None and (known.project in (None, caller.project.id) or caller.is_admin):
        return _Thing(known.project, known.marks)
    for pool in usable_pools(tx, caller):
        if pool.id == thing:
            return _Thing(None, pool.marks)
    raise NotFound("Network", thing)


def _subnet(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = tx.topology.network(NetworkId(thing))
    if known is not None and (known.project in (None, caller.project.id) or caller.is_admin):
        return _Thing(known.project, known.subnet_marks)
    for pool in usable_pools(tx, caller):
        if pool.id == thing:
            return _Thing(None, pool.subnet_marks)
    raise NotFound("Subnet", thing)


def _nic(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    card = visible_nic(tx, caller, NicId(thing))
    return _Thing(card.project, card.nic.marks)


def _router(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = tx.topology.router(RouterId(thing))
    if known is not None and (known.made or not known.closed):
        # Of one that serves everybody's networks everybody knows.
        mine = known.project == caller.project.id or caller.is_admin
        if mine or (not known.made and any(each.project is None for each in tx.topology.networks_of_router(known.id))):
            return _Thing(known.project, known.marks)
    raise NotFound("Router", thing)


def _floating(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = visible_floating(tx, caller, AddressId(thing))
    return _Thing(known.project, known.marks)


def _group(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = visible_group(tx, caller, GroupId(thing))
    return _Thing(known.project, known.marks)


def _subnet_pool(tx: Transaction, caller: Caller, thing: str) -> _Thing:
    known = visible_subnet_pool(tx, caller, SubnetPoolId(thing))
    return _Thing(known.project, known.marks)


_FINDERS: Mapping[Tagged, Callable[[Transaction, Caller, str], _Thing]] = {
    Tagged.NETWORK: _network,
    Tagged.SUBNET: _subnet,
    Tagged.NIC: _nic,
    Tagged.ROUTER: _router,
    Tagged.FLOATING_IP: _floating,
    Tagged.SECURITY_GROUP: _group,
    Tagged.SUBNET_POOL: _subnet_pool,
}
