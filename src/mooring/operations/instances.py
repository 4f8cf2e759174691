"""Instances: recorded at once, launched later, addressed last."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Exhausted, Invalid, NotFound, QuotaExceeded
from mooring.model.groups import DEFAULT_GROUP
from mooring.model.ids import InstanceId, NetworkId, NicId
from mooring.model.nouns import Flavor, Image, Instance, InstanceState, Network, NetworkKind, Nic, Resource
from mooring.model.subjects import MAX_GROUPS, SubjectKey, SubjectKind
from mooring.operations.associations import end
from mooring.operations.automatic import check_room, give_back_automatic
from mooring.operations.door import (
    Card,
    Change,
    Door,
    Published,
    check_own_card,
    check_version,
    checked_name,
    once,
    publish,
    visible_instance,
    visible_nic,
    withdraw,
)
from mooring.operations.events import note
from mooring.operations.forwardings import end_forwardings
from mooring.operations.interfaces import Duplicate, InstanceRow, NicRow, Transaction
from mooring.operations.membership import find_group, groups_of, put_into, reach
from mooring.operations.networks import NetworkOperations
from mooring.operations.nics import further_addresses
from mooring.operations.routing import next_fixed, reclaim_unheld, take_fixed
from mooring.operations.settlement import finish_deletion
from mooring.policy.addresses import given_out
from mooring.policy.roles import Verb

MAX_NICS = 8
"""An instance may have so many."""

_MAC_ATTEMPTS = 8

MOST_AT_ONCE = 100
"""So many instances are made by one call."""


@dataclass(frozen=True, slots=True)
class NewNic:
    """A NIC to be made: the network's id or name, and the fixed address if the caller chose one; or one that the project has made.

    With `nic`, the network may be left out, and there is no address to choose: the NIC has its own.
    """

    network: str = ""
    address: IPv4Address | None = None
    nic: NicId | None = None


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance to be made; without NICs it gets one on the project's only network.

    `groups` are its security groups by name or id; None is the project's default one.  Of a `count` of several, each has its number after
    the name.
    """

    name: str
    image: str
    flavor: str
    nics: tuple[NewNic, ...] = ()
    groups: tuple[str, ...] | None = None
    count: int = 1


class InstanceOperations:
    """Instances of a project."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door
        self._networks = NetworkOperations(door)

    def create(self, caller: Caller, new: NewInstance, idempotency_key: str | None = None) -> Instance:
        """Record an instance, or all of several and return the first, and ask for hosts; they have no address yet, except one that the caller chose.

        Raises:
            Invalid: a count that cannot be, or a chosen address for several; unknown image or flavor, a fixed address outside of its network, or more groups than a NIC can be in.
            NotFound: no such network, NIC or security group.
            QuotaExceeded: the project has as many instances as it may, or floating IPs where each instance gets one, or a group as many
                members.
            Exhausted: a network has no free address.
            Conflict: the chosen fixed address is taken, or a chosen NIC in an instance.
        """
        self._door.allow(caller, Verb.INSTANCE_CREATE)
        name = checked_name("name", new.name)
        names = [name] if new.count == 1 else _numbered(name, new)
        if new.image not in {image.id for image in self._door.images}:
            raise Invalid("imageRef", f"there is no image {new.image}")
        if new.flavor not in {flavor.id for flavor in self._door.flavors}:
            raise Invalid("flavorRef", f"there is no flavor {new.flavor}")
        if len(new.nics) > MAX_NICS:
            raise Invalid("networks", f"must name at most {MAX_NICS} networks")
        if len(set(new.groups or ())) > MAX_GROUPS:
            raise Invalid("security_groups", f"a NIC can be in at most {MAX_GROUPS}")
        nics = ((nic.network, nic.address, *([nic.nic] if nic.nic is not None else [])) for nic in new.nics)
        request = ("create", name, new.image, new.flavor, *nics, new.groups, *names[1:])
        building: list[InstanceId] = []

        def make(tx: Transaction) -> InstanceId:
            building.extend(self._create(tx, caller, each, new) for each in names)
            if new.count > 1:
                _check_addresses(tx, building[0], new.count)
            return building[0]

        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: make(tx))
            instance = tx.instances.get(InstanceId(made))
        if instance is None:
            raise NotFound("Instance", made)
        if instance.state is InstanceState.BUILDING:
            for each in building or [instance.id]:
                self._door.bell.launch(each)
        return instance

    def _create(self, tx: Transaction, caller: Caller, name: str, new: NewInstance) -> InstanceId:
        if not tx.quotas.take(caller.project.id, Resource.INSTANCES):
            raise QuotaExceeded("instances", tx.quotas.get(caller.project.id, Resource.INSTANCES).limit)
        row = InstanceRow(
            InstanceId(self._door.chance.new_id()),
            name,
            caller.project.id,
            caller.user.id,
            new.image,
            new.flavor,
            tx.now(),
        )
        check_room(self._door, tx, row.project)
        tx.instances.add(row)
        note(tx, caller, Action.INSTANCE_CREATE, row.id, name=name)
        names = (DEFAULT_GROUP,) if new.groups is None else new.groups
        groups = {group.id: group for group in (find_group(self._door, tx, row.project, name) for name in names)}
        wanted = new.nics
        if not wanted and not tx.topology.networks(caller.project.id):
            first = self._networks.make_first(tx, caller.project)
            wanted = (NewNic(first.id),) if first is not None else wanted
        chosen = iter(chosen_networks(tx, caller, wanted))
        for position, new_nic in enumerate(wanted or [NewNic()]):
            if new_nic.nic is not None:
                plug(tx, caller, new_nic, row.id, position)
                continue
            network, address = next(chosen)
            nic = add_nic(self._door, tx, row.id, network.id, position)
            for group in groups.values():
                put_into(tx, nic.id, group)
            if address is not None:
                take_fixed(self._door, tx, nic.id, network, address)
        return row.id

    def get(self, caller: Caller, instance: InstanceId) -> Instance:
        """Return an instance.

        Raises:
            NotFound: the project has no such instance.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return visible_instance(tx, caller, instance)

    def listing(self, caller: Caller, *, name: str | None = None, every_project: bool = False) -> Sequence[Instance]:
        """Return the project's instances, or with `every_project` an administrator everybody's; `name` keeps those named so."""
        self._door.allow(caller, Verb.READ)
        everybody = every_project and caller.is_admin
        with self._door.store.read() as tx:
            return tx.instances.list(None if everybody else caller.project.id, name=name)

    def of_nic(self, caller: Caller, nic: NicId) -> Card:
        """Return a NIC, and the instance that has it.

        Raises:
            NotFound: the project has no such NIC.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return visible_nic(tx, caller, nic)

    def images(self) -> tuple[Image, ...]:
        """Return what can be booted."""
        return self._door.images

    def flavors(self) -> tuple[Flavor, ...]:
        """Return the sizes that a guest may have."""
        return self._door.flavors

    def rename(self, caller: Caller, instance: InstanceId, name: str) -> Instance:
        """Call an instance otherwise; its guest learns of it when it next asks for its address.

        Raises:
            NotFound: the project has no such instance.
            Invalid: a name that cannot be.
            Conflict: the instance is being deleted.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        name = checked_name("name", name)
        changes: list[Change] = []
        with self._door.store.write() as tx:
            target = visible_instance(tx, caller, instance)
            if target.state is InstanceState.DELETING:
                raise Conflict(f"Instance {instance} is being deleted.")
            if target.name != name:
                tx.instances.rename(instance, name)
                note(tx, caller, Action.INSTANCE_RENAME, instance, target.project, name=name, before=target.name)
                # Its cards and its guest carry the name.
                keys = [SubjectKey(SubjectKind.INSTANCE, instance)]
                keys += [SubjectKey(SubjectKind.NIC, nic.id) for nic in target.nics]
                changes += [publish(tx, key) for key in keys]
            renamed = visible_instance(tx, caller, instance)
        self._door.settle(changes)
        return renamed

    def delete(self, caller: Caller, instance: InstanceId) -> None:
        """Stop an instance and give its fixed addresses back once its hosts have confirmed; its floating IPs stay with the project, but for one that
        it got with its launch.  A NIC that the project made stays as it is, and is in no instance once its hosts have confirmed.

        Deleting one that is being deleted changes nothing.

        Raises:
            NotFound: the project has no such instance.
        """
        self._door.allow(caller, Verb.INSTANCE_DELETE)
        with self._door.store.write() as tx:
            target = visible_instance(tx, caller, instance)
            check_version(caller, "Instance", target.id, target)
            if not tx.instances.move(
                instance,
                {InstanceState.BUILDING, InstanceState.ACTIVE, InstanceState.ERROR},
                InstanceState.DELETING,
            ):
                return
            tx.quotas.give(target.project, Resource.INSTANCES)
            # A NIC that the project made stays, with all that it has.
            going = [nic for nic in target.nics if nic.own is None]
            tx.quotas.give(target.project, Resource.NIC_ADDRESSES, further_addresses(going))
            changes: list[Change] = [withdraw(tx, SubjectKey(SubjectKind.INSTANCE, instance))]
            for nic in going:
                given = give_back_automatic(tx, nic.id)
                for floating in nic.floating:
                    if floating.id not in given:
                        end(tx, caller, floating)
                end_forwardings(tx, caller, tx.forwardings.of_nic(nic.id))
            changes += [withdraw_nic(tx, nic) for nic in target.nics]
            if target.host is not None:
                changes += reach(tx, target.host, groups_of(target.nics))
            for nic in going:
                for group in nic.groups:
                    tx.groups.leave(nic.id, group.id)
            finish_deletion(tx, instance)
            note(tx, caller, Action.INSTANCE_DELETE, instance, target.project, name=target.name)
        self._door.settle(changes)


def add_nic(door: Door, tx: Transaction, instance: InstanceId | None, network: NetworkId, position: int) -> NicRow:
    """Make a NIC, with a hardware address that nobody has.

    Raises:
        Conflict: none was found.
    """
    for _ in range(_MAC_ATTEMPTS):
        mac = door.chance.new_mac()
        filtered = door.limits.filters
        row = NicRow(NicId(door.chance.new_id()), instance, network, mac, position, filtered)
        try:
            tx.instances.add_nic(row)
        except Duplicate:
            continue
        return row
    raise Conflict("No unused MAC address was found.")


def plug(tx: Transaction, caller: Caller, new: NewNic, instance: InstanceId, position: int) -> NicId:
    """Put a NIC that the project made into an instance.

    Raises:
        NotFound: the project has no such NIC, or may use no such network.
        Invalid: an address was chosen too, or the NIC is not on the network.
        Conflict: it is in an instance, or hosts have not let go of it yet.
    """
    card = visible_nic(tx, caller, NicId(str(new.nic)))
    check_own_card(caller, card)
    nic = card.nic
    if new.address is not None:
        raise Invalid("fixed_ip", f"NIC {nic.id} has its own addresses: no other can be chosen")
    if new.network and new.network not in (nic.network, nic.network_name):
        raise Invalid("networks", f"NIC {nic.id} is on network {nic.network_name}, and not on {new.network}")
    # Until its hosts have let go of it, it is in the instance that it was in.
    if card.instance is not None or not tx.cards.plug(nic.id, instance, position):
        raise Conflict(f"Port {nic.id} is still in use.", field="nic")
    return nic.id


def withdraw_nic(tx: Transaction, nic: Nic) -> Published:
    """Take a NIC from all its hosts, and its fixed addresses once they have confirmed, but for those to which somebody let floating IPs lead.

    One that its project made keeps its addresses.
    """
    give_back_automatic(tx, nic.id)
    change = withdraw(tx, SubjectKey(SubjectKind.NIC, nic.id))
    if nic.own is not None:
        return change
    forwarded = {forwarding.fixed for forwarding in tx.forwardings.of_nic(nic.id)}
    for row in tx.addresses.fixed_of_nic(nic.id):
        if tx.addresses.floating_of_fixed(row.id) or row.address in forwarded:
            continue
        tx.addresses.linger(row.id, nic.id, change.generation)
        tx.addresses.release(row.id)
        reclaim_unheld(tx, row.id)
    return change


def chosen_networks(
    tx: Transaction,
    caller: Caller,
    wanted: Sequence[NewNic],
) -> list[tuple[Network, IPv4Address | None]]:
    """Find the networks of new NICs, and check that each has a free address; those that the project has made are left out.

    Raises:
        Invalid: none was named, and the project has not just one; or several have the name.
        NotFound: the project may use no such network.
        Exhausted: a network has no free address.
    """
    usable_networks = tx.topology.networks(caller.project.id)
    chosen: list[tuple[Network, IPv4Address | None]] = []
    if not wanted:
        if len(usable_networks) != 1:
            text = "there is none" if not usable_networks else "there are several: say which"
            raise Invalid("networks", f"no network was named and {text}")
        chosen.append((usable_networks[0], None))
    for nic in wanted:
        if nic.nic is not None:
            continue
        named = [network for network in usable_networks if network.id == nic.network]
        named = named or [network for network in usable_networks if network.name == nic.network]
        if not named:
            bare = [each for each in tx.own.bares(caller.project.id) if nic.network in (each.id, each.name)]
            if bare:
                raise Invalid("networks", f"network {nic.network} has no subnet yet: give it one first")
            raise NotFound("Network", nic.network)
        # Flat networks of one name are one network, that has another bridge in each cluster.
        if len(named) > 1 and not all(network.kind is NetworkKind.FLAT for network in named):
            raise Invalid("networks", f"several networks are named {nic.network}: use an id")
        chosen.append((named[0], nic.address))
    for network, _ in chosen:
        if next_fixed(tx, network) is None:
            raise Exhausted(f"No more addresses are available on network {network.name}.")
    return chosen


def _check_addresses(tx: Transaction, one: InstanceId, count: int) -> None:
    """Refuse several instances where a network has not enough free addresses for all that are like this one.

    Raises:
        Exhausted: it hasn't, as it is now: they are taken later, when there are hosts.
    """
    for nic in tx.instances.nics(one):
        network = tx.topology.network(nic.network)
        if network is not None:
            left = (len(part) - tx.addresses.count(network.id, part.first, part.last) for part in given_out(network))
            if (free := sum(left)) < count:
                raise Exhausted(f"Network {network.name} has {free} free addresses.")


def _numbered(name: str, new: NewInstance) -> list[str]:
    """Return the names of several instances.

    Raises:
        Invalid: there can't be so many, or they would all have one address.
    """
    if new.count not in range(1, MOST_AT_ONCE + 1):
        raise Invalid("max_count", f"must be from 1 to {MOST_AT_ONCE}")
    if any(nic.address is not None for nic in new.nics):
        raise Invalid("max_count", "must be 1 where a fixed_ip is chosen")
    return [checked_name("name", f"{name}-{number}") for number in range(1, new.count + 1)]
