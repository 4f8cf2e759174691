"""Addresses of network cards beside their first: further fixed IPs, and others that a guest may use without having been given them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Exhausted, Forbidden, InUse, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.ids import AddressId, NicId, ProjectId
from mooring.model.nouns import AddressKind, FixedIp, Instance, InstanceState, Network, NetworkKind, Nic, Resource
from mooring.model.preferences import EgressScope
from mooring.model.records import NicRow
from mooring.model.subjects import MAX_EXTRA, SubjectKey, SubjectKind
from mooring.operations.door import Change, Door, changeable_nic, check_revision, find_card, once, publish, visible_nic
from mooring.operations.egress import connect_preferred
from mooring.operations.events import note
from mooring.operations.groups import assign
from mooring.operations.interfaces import AddressRow, Transaction
from mooring.operations.membership import check_alike
from mooring.operations.routing import reclaim_unheld, take_fixed
from mooring.policy.allowed import check_apart, check_fits, is_inside, prefix_of, written
from mooring.policy.egress import described
from mooring.policy.names import text_fault
from mooring.policy.roles import Verb

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NicChange:
    """What is to be otherwise of a NIC; None leaves it as it is.

    `groups` are names or ids of security groups, `allowed` addresses or prefixes as text.  `fixed` are all fixed IPs that it shall have, each
    None among them any: one that it has and that isn't named, or a new one.  `name` and `description` are of one that its project made.
    """

    groups: tuple[str, ...] | None = None
    fixed: tuple[IPv4Address | None, ...] | None = None
    allowed: tuple[str, ...] | None = None
    name: str | None = None
    description: str | None = None


@dataclass(slots=True)
class _Card:
    """A NIC in the transaction that changes it, and what hosts are to be told."""

    instance: Instance | None
    project: ProjectId
    nic: Nic
    network: Network
    changes: list[Change]


class NicOperations:
    """Addresses of NICs.  A change returns when the hosts concerned have confirmed it."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def allow(self, caller: Caller, nic: NicId, addresses: Collection[str], idempotency_key: str | None = None) -> Nic:
        """Let a NIC use addresses or prefixes beside its own; those that it may use already stay.

        When this returns, what its guest sends as one of them passes, and what is sent to one of them reaches it.  Other NICs of the project
        may have or use the same, if they are in the same security groups; where ARP does not cross from host to host (vxlan), none may.

        Raises:
            NotFound: the project has no such NIC.
            Forbidden: one lies outside of a network that all projects share, and the caller is no administrator.
            Invalid: one cannot be allowed to a guest, or two have addresses in common, or they are too many.
            Conflict: one is another project's, or a NIC's that may not share it, or the instance is being deleted.
            QuotaExceeded: the project has as many addresses of NICs as it may.
            NotReady: the instance is being launched.
        """
        prefixes = [*dict.fromkeys(prefix_of(text) for text in addresses)]
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            card = _card(tx, caller, nic)

            def add() -> NicId:
                self._add(tx, caller, card, [prefix for prefix in prefixes if prefix not in card.nic.allowed])
                return nic

            once(tx, caller, idempotency_key, ("allow", nic, *prefixes), add)
            changed = _changed(tx, caller, card)
        self._door.settle(card.changes)
        return changed

    def disallow(self, caller: Caller, nic: NicId, addresses: Collection[str]) -> Nic:
        """Take addresses or prefixes from a NIC that it was allowed, each as it was: when this returns, it can't use them.

        Raises:
            NotFound: the project has no such NIC, or the NIC is not allowed one of them.
            Invalid: one cannot be allowed to a guest.
            Conflict: the instance is being deleted, or its hosts hold too much still that was taken from it.
        """
        prefixes = [*dict.fromkeys(prefix_of(text) for text in addresses)]
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            card = _card(tx, caller, nic)
            for prefix in prefixes:
                if prefix not in card.nic.allowed:
                    raise NotFound("Allowed address", written(prefix))
            _leave(tx, card, prefixes)
            changed = _changed(tx, caller, card)
        self._door.settle(card.changes)
        return changed

    def changeable(self, caller: Caller, nic: NicId) -> Nic:
        """Return a NIC that the caller may change.

        Raises:
            NotFound: the project has no such NIC.
            Conflict: the instance is being deleted.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.read() as tx:
            return _card(tx, caller, nic).nic

    def change(self, caller: Caller, nic: NicId, wanted: NicChange) -> Nic:
        """Change several things of a NIC: all of it, or nothing.

        What holds of `allow`, `disallow`, `add_fixed`, `remove_fixed` and of the groups' `assign` holds here.

        Raises:
            Invalid: a text that can't be, or one for a NIC that came with its instance.
        """
        allowed = [*dict.fromkeys(prefix_of(text) for text in wanted.allowed or ())]
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        if wanted.groups is not None:
            self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            card = _card(tx, caller, nic)
            check_revision(caller, "NIC", nic, card.nic.marks)
            self._change(tx, caller, card, wanted, allowed)
            changed = _changed(tx, caller, card)
        self._door.settle(card.changes)
        return changed

    def fill(self, tx: Transaction, caller: Caller, nic: NicId, wanted: NicChange) -> None:
        """Do the same in a transaction to a NIC that no host has."""
        allowed = [*dict.fromkeys(prefix_of(text) for text in wanted.allowed or ())]
        self._change(tx, caller, _card(tx, caller, nic), wanted, allowed)

    def _change(
        self, tx: Transaction, caller: Caller, card: _Card, wanted: NicChange, allowed: Collection[Prefix]
    ) -> None:
        _describe(tx, caller, card, wanted)
        if wanted.allowed is not None:
            _leave(tx, card, [prefix for prefix in card.nic.allowed if prefix not in allowed])
        if wanted.groups is not None:
            card.changes += assign(self._door, tx, card.project, card.nic, wanted.groups)
        if wanted.fixed is not None:
            self._set_fixed(tx, caller, card, wanted.fixed)
        if wanted.allowed is not None:
            card.nic = visible_nic(tx, caller, card.nic.id).nic
            self._add(tx, caller, card, [prefix for prefix in allowed if prefix not in card.nic.allowed])

    def _add(self, tx: Transaction, caller: Caller, card: _Card, prefixes: Sequence[Prefix]) -> None:
        if not prefixes:
            return
        _check_launched(card)
        check_apart([*card.nic.allowed, *prefixes])
        row = tx.instances.nic(card.nic.id)
        if row is None:
            raise NotFound("NIC", card.nic.id)
        self._count(tx, card, sum(prefix.num_addresses for prefix in prefixes))
        for prefix in prefixes:
            check_fits(prefix, card.network)
            for address in prefix:
                if not is_inside(address, card.network) and card.network.project is None and not caller.is_admin:
                    raise Forbidden(
                        f"Only administrators may allow {address}: it is no address of network {card.network.name}, "
                        "which all projects share."
                    )
            self._claim(tx, card, prefix)
            tx.allowances.add(row, prefix)
        _check_sharing(tx, card, row)
        card.changes.append(publish(tx, SubjectKey(SubjectKind.NIC, card.nic.id)))

    def _claim(self, tx: Transaction, card: _Card, prefix: Prefix) -> None:
        """Make sure that all addresses of a prefix are the project's on this network, and nobody else's while they are."""
        project = card.project
        for address in prefix:
            own: AddressId | None = None
            if is_inside(address, card.network) and isinstance(address, IPv4Address):
                own = self._hold(tx, card, address)
            if not tx.allowances.claim(card.network.id, address, project, own):
                raise _anothers(address, card.network)

    def _hold(self, tx: Transaction, card: _Card, address: IPv4Address) -> AddressId:
        """Return the row of an address of the subnet: a fixed IP of the project's, or one that is made so that nobody gets it."""
        row = AddressRow(
            AddressId(self._door.chance.new_id()),
            card.network.id,
            address,
            AddressKind.FIXED,
            network=card.network.id,
        )
        if tx.addresses.take(row):
            return row.id
        known = tx.addresses.find(card.network.id, address)
        if known is None:
            raise AssertionError("what could not be taken is there")
        if known.nic is not None:
            owner = find_card(tx, known.nic)
            if owner is None or owner.project != card.project:
                raise _anothers(address, card.network)
            if known.releasing:
                raise Conflict(
                    f"Address {address} is being given back by NIC {known.nic}; ask again when that is done.",
                    field="allowed_addresses",
                )
        return known.id

    def _count(self, tx: Transaction, card: _Card, number: int) -> None:
        if not tx.quotas.take(card.project, Resource.NIC_ADDRESSES, number):
            most = tx.quotas.get(card.project, Resource.NIC_ADDRESSES).limit
            raise QuotaExceeded("addresses of NICs beside their first", most)

    # -------------------------------------------------------------------------------------------------- fixed IPs

    def add_fixed(
        self, caller: Caller, nic: NicId, address: IPv4Address | None = None, idempotency_key: str | None = None
    ) -> Nic:
        """Give a NIC one more fixed IP of its network: the one that is named, or the next; one that it has already stays.

        Its hosts know it when this returns.  The guest is not told: DHCP gives it its first address, the others it takes itself.

        Raises:
            NotFound: the project has no such NIC.
            Invalid: the network does not give this address to machines.
            Conflict: the address is in use, the NIC has as many as it can have, or the instance is being deleted.
            Exhausted: the network has no free address.
            QuotaExceeded: the project has as many addresses of NICs as it may.
            NotReady: the instance is being launched.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            card = _card(tx, caller, nic)
            request = ("fixed ip", nic, address)
            once(tx, caller, idempotency_key, request, lambda: self._take(tx, card, address))
            changed = _changed(tx, caller, card)
        self._door.settle(card.changes)
        return changed

    def _take(self, tx: Transaction, card: _Card, address: IPv4Address | None) -> AddressId:
        for fixed in card.nic.fixed:
            if fixed.address == address:
                return fixed.id
        _check_launched(card)
        used = len(card.nic.fixed) + sum(prefix.num_addresses for prefix in card.nic.allowed if prefix.version == 4)
        if used > MAX_EXTRA:
            raise Conflict(f"NIC {card.nic.id} has {MAX_EXTRA} addresses beside its first, which is the most.")
        self._count(tx, card, 1)
        try:
            row = take_fixed(self._door, tx, card.nic.id, card.network, address)
        except Exhausted as error:
            raise Exhausted(f"No more addresses are available on network {card.network.name}.") from error
        card.changes += connect_preferred(self._door, tx, card.project, card.network)
        tx.preferences.number_sets([card.nic.id])
        card.changes.append(publish(tx, SubjectKey(SubjectKind.NIC, card.nic.id)))
        return row.id

    def remove_fixed(self, caller: Caller, nic: NicId, address: IPv4Address) -> Nic:
        """Take a fixed IP from a NIC; nobody gets it before every host has confirmed that it let go.

        Raises:
            NotFound: the project has no such NIC, or the NIC no such fixed IP.
            InUse: a floating IP or a port of one leads there, or an egress preference is for it.
            Conflict: it is the NIC's first, or the instance is being deleted.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            card = _card(tx, caller, nic)
            self._give_back(tx, caller, card, address)
            changed = _changed(tx, caller, card)
        self._door.settle(card.changes)
        return changed

    def _give_back(self, tx: Transaction, caller: Caller, card: _Card, address: IPv4Address) -> None:
        fixed = next((each for each in card.nic.fixed if each.address == address), None)
        if fixed is None:
            raise NotFound("Fixed IP", address)
        if fixed == card.nic.fixed[0]:
            raise Conflict(f"Fixed IP {address} is the first of NIC {card.nic.id}, and stays.", field="fixed_ip")
        _check_unused(tx, caller, card, fixed)
        change = publish(tx, SubjectKey(SubjectKind.NIC, card.nic.id))
        tx.addresses.linger(fixed.id, card.nic.id, change.generation)
        tx.addresses.release(fixed.id)
        tx.quotas.give(card.project, Resource.NIC_ADDRESSES)
        reclaim_unheld(tx, fixed.id)
        card.changes.append(change)

    def _set_fixed(self, tx: Transaction, caller: Caller, card: _Card, wanted: Collection[IPv4Address | None]) -> None:
        had = [fixed.address for fixed in card.nic.fixed]
        named = {address for address in wanted if address is not None}
        others = [address for address in had if address not in named]
        anything = sum(address is None for address in wanted)
        for address in others[anything:]:
            self._give_back(tx, caller, card, address)
        for address in sorted(named.difference(had)):
            self._take_again(tx, caller, card, address)
        for _ in range(anything - len(others)):
            self._take_again(tx, caller, card, None)

    def _take_again(self, tx: Transaction, caller: Caller, card: _Card, address: IPv4Address | None) -> None:
        self._take(tx, card, address)
        card.nic = visible_nic(tx, caller, card.nic.id).nic


def checked_text(field: str, text: str) -> str:
    """Return a name or a description, which may be empty.

    Raises:
        Invalid: it can't be one.
    """
    if (reason := text_fault(text)) is not None:
        raise Invalid(field, reason)
    return text.strip()


def _describe(tx: Transaction, caller: Caller, card: _Card, wanted: NicChange) -> None:
    own = card.nic.own
    said = {"name": wanted.name, "description": wanted.description}
    if own is None:
        for field in [field for field, text in said.items() if text]:
            raise Invalid(field, f"NIC {card.nic.id} came with its instance, and has no {field} of its own")
        return
    texts = {field: checked_text(field, text) for field, text in said.items() if text is not None}
    new = replace(own, name=texts.get("name", own.name), description=texts.get("description", own.description))
    if new != own:
        tx.cards.describe(card.nic.id, new)
        note(tx, caller, Action.NIC_CHANGE, card.nic.id, own.project, **texts)


def further_addresses(nics: Iterable[Nic]) -> int:
    """Count what NICs have beside the first address of each."""
    return sum(max(len(nic.fixed) - 1, 0) + sum(prefix.num_addresses for prefix in nic.allowed) for nic in nics)


def _card(tx: Transaction, caller: Caller, nic: NicId) -> _Card:
    card = changeable_nic(tx, caller, nic)
    network = tx.topology.network(card.nic.network)
    if network is None:
        raise NotFound("Network", card.nic.network_name)
    return _Card(card.instance, card.project, card.nic, network, [])


def _changed(tx: Transaction, caller: Caller, card: _Card) -> Nic:
    """Return a NIC as it is now, and note what it has, if that was changed."""
    changed = visible_nic(tx, caller, card.nic.id).nic
    if card.changes:
        note(
            tx,
            caller,
            Action.NIC_CHANGE,
            changed.id,
            card.project,
            fixed=", ".join(str(fixed.address) for fixed in changed.fixed),
            allowed=", ".join(map(written, changed.allowed)),
            groups=", ".join(name.name for name in changed.groups),
        )
    return changed


def _check_launched(card: _Card) -> None:
    if card.instance is not None and (card.instance.state is InstanceState.BUILDING or not card.nic.fixed):
        raise NotReady(f"Instance {card.instance.id} has no fixed IP yet.")


def _leave(tx: Transaction, card: _Card, prefixes: Collection[Prefix]) -> None:
    if not prefixes:
        return
    change = publish(tx, SubjectKey(SubjectKind.NIC, card.nic.id))
    tx.allowances.leave(card.nic.id, prefixes, change.generation)
    tx.allowances.confirmed(card.nic.id)
    if tx.allowances.leaving(card.nic.id) > 2 * MAX_EXTRA:
        raise Conflict(f"Hosts of NIC {card.nic.id} have not let go yet of what was taken from it before.")
    tx.quotas.give(card.project, Resource.NIC_ADDRESSES, sum(prefix.num_addresses for prefix in prefixes))
    card.changes.append(change)


def _check_sharing(tx: Transaction, card: _Card, row: NicRow) -> None:
    """Refuse that NICs may use one address where nobody would know which of them has it, or what it may send and receive."""
    others = tx.allowances.sharers(row.id)
    if others and card.network.kind is NetworkKind.VXLAN:
        raise Conflict(
            f"NICs {row.id} and {others[0]} can't use the same address: on a {card.network.kind} network an address is one NIC's.",
            field="allowed_addresses",
        )
    check_alike(tx, row.id)


def _check_unused(tx: Transaction, caller: Caller, card: _Card, fixed: FixedIp) -> None:
    for floating in card.nic.floating:
        if floating.fixed == fixed.address:
            raise InUse("Fixed IP", fixed.address, f"floating IP {floating.address}")
    for forwarding in tx.forwardings.of_nic(card.nic.id):
        if forwarding.fixed == fixed.address:
            raise InUse("Fixed IP", fixed.address, f"port forwarding {forwarding.id}, {forwarding}")
    users = [
        preference
        for preference in tx.preferences.list(caller.project.id)
        if preference.scope is EgressScope.ADDRESS
        and preference.nic == card.nic.id
        and preference.fixed == fixed.address
    ]
    if users:
        raise InUse("Fixed IP", fixed.address, described(users))


def _anothers(address: object, network: Network) -> Conflict:
    return Conflict(f"Address {address} is another project's on network {network.name}.", field="allowed_addresses")
