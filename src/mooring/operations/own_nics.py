"""NICs that projects make themselves: they have their addresses before there is an instance, and when it is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.groups import DEFAULT_GROUP
from mooring.model.ids import NicId
from mooring.model.nouns import Nic, OwnNic, Resource
from mooring.operations.associations import end
from mooring.operations.door import Change, Door, check_revision, once, visible_nic
from mooring.operations.egress import check_unpreferred
from mooring.operations.events import note
from mooring.operations.forwardings import end_forwardings
from mooring.operations.instances import NewNic, add_nic, chosen_networks
from mooring.operations.interfaces import Transaction
from mooring.operations.nics import NicChange, NicOperations, checked_text, further_addresses
from mooring.operations.routing import take_fixed
from mooring.operations.settlement import delete_nic
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class NewOwnNic:
    """A NIC to be made on a network, by its name or id.

    `fixed` are the fixed IPs that it shall have, each None among them any; the first is what DHCP tells its guest.  `groups` are names or
    ids, None is the project's default group.  `allowed` are addresses or prefixes that it may use beside its own.
    """

    network: str
    fixed: tuple[IPv4Address | None, ...] = (None,)
    groups: tuple[str, ...] | None = None
    allowed: tuple[str, ...] = ()
    name: str = ""
    description: str = ""


class OwnNicOperations:
    """NICs that projects make themselves, as long as they are in no instance: no host hears of them then."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door
        self._nics = NicOperations(door)

    def create(self, caller: Caller, new: NewOwnNic, idempotency_key: str | None = None) -> Nic:
        """Make a NIC that is in no instance; its addresses are its own from now on.

        Raises:
            NotFound: the project may use no such network, or has no such security group.
            Invalid: the network does not give one of the addresses to machines, or it can't be allowed to a guest; there are too many
                groups; or a text that can't be.
            Conflict: an address is in use, or another project's.
            Forbidden: as for `NicOperations.allow`.
            Exhausted: the network has no free address.
            QuotaExceeded: the project has as many NICs or addresses of NICs as it may, or a group as many members.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        if not new.fixed:
            raise Invalid("fixed_ips", "a NIC has at least one fixed IP")
        own = OwnNic(caller.project.id, checked_text("name", new.name), checked_text("description", new.description))
        request = ("own nic", *(str(getattr(new, name)) for name in NewOwnNic.__slots__))
        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, caller, new, own))
            return visible_nic(tx, caller, NicId(made)).nic

    def _create(self, tx: Transaction, caller: Caller, new: NewOwnNic, own: OwnNic) -> NicId:
        ((network, _),) = chosen_networks(tx, caller, [NewNic(new.network)])
        if not tx.quotas.take(own.project, Resource.NICS):
            raise QuotaExceeded("NICs of its own", tx.quotas.get(own.project, Resource.NICS).limit)
        row = add_nic(self._door, tx, None, network.id, 0)
        tx.cards.own(row.id, own)
        # Those that are named come first: what the network gives out then is none of them.
        fixed = sorted(new.fixed, key=lambda address: address is None)
        take_fixed(self._door, tx, row.id, network, fixed[0])
        groups = (DEFAULT_GROUP,) if new.groups is None else new.groups
        self._nics.fill(tx, caller, row.id, NicChange(groups, tuple(fixed), new.allowed or None))
        made = visible_nic(tx, caller, row.id).nic
        addresses = ", ".join(str(each.address) for each in made.fixed)
        note(tx, caller, Action.NIC_CREATE, row.id, name=own.name, network=network.id, fixed=addresses)
        return row.id

    def listing(self, caller: Caller, *, every_project: bool = False) -> Sequence[Nic]:
        """Return the project's NICs that are in no instance, or with `every_project` an administrator everybody's."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.cards.list(None if every_project and caller.is_admin else caller.project.id)

    def delete(self, caller: Caller, nic: NicId) -> None:
        """Delete a NIC that is in no instance: its addresses are free, and what led to them leads nowhere.

        Raises:
            NotFound: the project has no such NIC.
            InUse: it is in an instance, or its hosts have not let go of it; or guests prefer to leave as a floating IP that leads to it.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            card = visible_nic(tx, caller, nic)
            if card.project != caller.project.id:
                raise NotFound("NIC", nic)
            check_revision(caller, "NIC", nic, card.nic.marks)
            if card.instance is not None:
                raise InUse("Port", nic, f"instance {card.instance.id}")
            row = tx.instances.nic(nic)
            if row is None or row.instance is not None:
                raise InUse("Port", nic, "hosts that have not let go of it yet")
            changes: list[Change] = [*end_forwardings(tx, caller, tx.forwardings.of_nic(nic))]
            for floating in card.nic.floating:
                check_unpreferred(tx, floating)
                changes.append(end(tx, caller, floating))
            for group in card.nic.groups:
                tx.groups.leave(nic, group.id)
            tx.quotas.give(card.project, Resource.NIC_ADDRESSES, further_addresses([card.nic]))
            tx.quotas.give(card.project, Resource.NICS)
            delete_nic(tx, nic)
            note(tx, caller, Action.NIC_DELETE, nic, card.project, name=card.nic.own.name if card.nic.own else "")
        self._door.settle(changes)
