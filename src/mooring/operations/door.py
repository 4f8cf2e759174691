"""What all operations share: the store, the bell, the clock, rights, names, idempotency, and waiting for hosts."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Protocol

from mooring.model.accounts import Caller
from mooring.model.faults import Changed, Conflict, Forbidden, Invalid, NotFound, Unavailable
from mooring.model.ids import HostId, InstanceId, NicId, ProjectId
from mooring.model.marks import UNMARKED, Marks
from mooring.model.nouns import Flavor, Host, Image, Instance, InstanceState, NetworkKind, Nic, Resource
from mooring.model.subjects import HostRole, SubjectKey
from mooring.operations.interfaces import Bell, Chance, Duplicate, Remembered, Store, Transaction
from mooring.policy.managers import VLAN_TAGS, VXLAN_IDENTIFIERS
from mooring.policy.names import name_fault
from mooring.policy.roles import Verb, may
from mooring.policy.versions import version

_MAX_IDEMPOTENCY_KEY = 255


@dataclass(frozen=True, slots=True)
class FirstNetwork:
    """The network that a project gets on first use: every project the same addresses, each a segment of its own."""

    kind: NetworkKind
    cidr: IPv4Network


@dataclass(frozen=True, slots=True)
class Limits:
    """What an installation allows.  Times are in seconds.

    `vlans` and `vxlans` are the segment numbers that mooring may use.  `liveness` is after how long without a word a host counts as dead.
    `attempts_per_account` and `attempts_per_source` are how many wrong passwords a minute, and at once, are answered; 0 is any number.
    `launch_patience` is for how long after its creation an instance waits for hosts that are away.
    `first_network` is made for a project that launches an instance and has no network; None makes none.  `auto_assign` is the pool by
    name of which instances get a floating IP at their launch; None gives none.  With `filters`, hosts hold new NICs
    to their security groups, and to their own addresses.  `own_kind` is of which kind networks are that projects make; None lets them make none.
    With `names`, floating IPs can be given names: somebody answers for them.
    """

    quotas: Mapping[Resource, int] = field(
        default_factory=lambda: {
            Resource.INSTANCES: 10,
            Resource.FLOATING_IPS: 10,
            Resource.SECURITY_GROUPS: 10,
            Resource.SECURITY_GROUP_RULES: 50,
            Resource.SECURITY_GROUP_MEMBERS: 1000,
            Resource.NIC_ADDRESSES: 256,
            Resource.PORT_FORWARDINGS: 100,
            Resource.NETWORKS: 10,
            Resource.SUBNETS: 10,
            Resource.ROUTERS: 10,
            Resource.SUBNET_POOLS: 10,
            Resource.NICS: 100,
        },
    )
    settle_timeout: float = 5.0
    token_lifetime: int = 3600
    liveness: float = 10.0
    launch_attempts: int = 3
    launch_patience: float = 30.0
    attempts_per_account: int = 0
    attempts_per_source: int = 0
    vlans: range = VLAN_TAGS
    vxlans: range = VXLAN_IDENTIFIERS
    first_network: FirstNetwork | None = None
    auto_assign: str | None = None
    filters: bool = True
    own_kind: NetworkKind | None = None
    names: bool = True

    def segments(self, kind: NetworkKind) -> range | None:
        """Return the segment numbers that networks of a kind may have here; None where it has none."""
        return {NetworkKind.VLAN: self.vlans, NetworkKind.VXLAN: self.vxlans}.get(kind)


class Change(Protocol):
    """Something that hosts are told, and may have to confirm."""

    @property
    def hosts(self) -> frozenset[HostId]:
        """The hosts to wake."""
        ...

    def is_open(self, tx: Transaction) -> bool:
        """Say whether a host has still to confirm it."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """A change that hosts must confirm; with `newest`, its gateway must also confirm what is published after it."""

    key: SubjectKey
    generation: int
    hosts: frozenset[HostId]
    newest: bool = False

    def is_open(self, tx: Transaction) -> bool:
        """Say whether a host has still to confirm it."""
        if tx.deliveries.unconfirmed(self.key, self.generation):
            return True
        return self.newest and not tx.deliveries.settled(self.key, (HostRole.GATEWAY,))


@dataclass(frozen=True, slots=True)
class Door:
    """The shared part of all operations."""

    store: Store
    bell: Bell
    chance: Chance
    limits: Limits
    images: tuple[Image, ...]
    flavors: tuple[Flavor, ...]

    def allow(self, caller: Caller, verb: Verb) -> None:
        """Raise Forbidden unless one of the caller's roles grants the verb."""
        if not may(caller.roles, verb):
            raise Forbidden("Your roles do not allow this.", detail=f"{caller.user.name} lacks {verb}")

    def alive(self, host: Host, now: datetime) -> bool:
        """Say whether a host was heard of lately."""
        if host.last_seen is None:
            return False
        # A moment that lies ahead is of before the clock was set back, and says nothing.
        return abs(now - host.last_seen) <= timedelta(seconds=self.limits.liveness)

    def settle(self, published: Iterable[Change]) -> None:
        """Wake the hosts concerned and wait until they have confirmed, or until the time allowed for that is over.

        The change is committed either way: hosts that are away learn of it when they return.
        """
        changes = tuple(published)
        hosts = frozenset[HostId]().union(*(change.hosts for change in changes))
        if not hosts:
            return
        self.bell.wake(sorted(hosts))

        def done() -> bool:
            try:
                with self.store.read() as tx:
                    return not any(change.is_open(tx) for change in changes)
            except Unavailable:
                # Whoever asked must not be told that nothing was done.
                return False

        self.bell.wait_settled(done, self.limits.settle_timeout)


def publish(tx: Transaction, key: SubjectKey, roles: Collection[HostRole] | None = None) -> Published:
    """Give a subject a new generation on all its hosts, or on those in some roles, if the others hear of no change."""
    return Published(key, *tx.deliveries.publish(key, roles))


def withdraw(tx: Transaction, key: SubjectKey) -> Published:
    """Take a subject from all its hosts."""
    return Published(key, *tx.deliveries.withdraw(key))


def checked_name(field_name: str, name: object) -> str:
    """Return a name that may be stored.

    Raises:
        Invalid: it is no text, is empty, too long or has characters that cannot be shown.
    """
    if (reason := name_fault(name)) is not None:
        raise Invalid(field_name, reason)
    return str(name).strip()


def check_version(caller: Caller, noun: str, name: object, thing: object) -> None:
    """Refuse to change what is not as the caller expects it, if they said how; in the transaction of the change.

    Raises:
        Changed: it has another version.
    """
    if caller.expected is not None and version(thing) not in caller.expected:
        raise Changed(noun, name)
    check_revision(caller, noun, name, getattr(thing, "marks", UNMARKED))


def check_revision(caller: Caller, noun: str, name: object, marks: Marks) -> None:
    """Refuse to change what has another revision than the caller expects, if they said one; in the transaction of the change.

    Raises:
        Changed: it has another one.
    """
    if caller.revision is not None and marks.revision != caller.revision:
        raise Changed(noun, name)


def visible_instance(tx: Transaction, caller: Caller, instance: InstanceId) -> Instance:
    """Return an instance that the caller may know of.

    Raises:
        NotFound: there is none, or it is another project's: the two answers are the same.
    """
    found = tx.instances.get(instance)
    if found is None or (found.project != caller.project.id and not caller.is_admin):
        raise NotFound("Instance", instance)
    return found


@dataclass(frozen=True, slots=True)
class Card:
    """A NIC, whose it is, and the instance that has it: None for one that its project made and that is in none."""

    nic: Nic
    project: ProjectId
    instance: Instance | None

    def __str__(self) -> str:
        """Name the instance, or the NIC where it is in none."""
        return f"Instance {self.instance.id}" if self.instance is not None else f"NIC {self.nic.id}"


def find_card(tx: Transaction, nic: NicId) -> Card | None:
    """Return a NIC, whoever owns it; one that leaves its instance is there only if its project made it."""
    row = tx.instances.nic(nic)
    if row is None:
        return None
    if row.instance is None or row.leaving:
        loose = tx.cards.get(nic)
        return Card(loose, loose.own.project, None) if loose is not None and loose.own is not None else None
    instance = tx.instances.get(row.instance)
    if instance is None:
        return None
    return next((Card(each, instance.project, instance) for each in instance.nics if each.id == nic), None)


def visible_nic(tx: Transaction, caller: Caller, nic: NicId) -> Card:
    """Return a NIC that the caller may know of.

    Raises:
        NotFound: there is none, or it is another project's: the two answers are the same.
    """
    found = find_card(tx, nic)
    if found is None or (found.project != caller.project.id and not caller.is_admin):
        raise NotFound("NIC", nic)
    return found


def changeable_nic(tx: Transaction, caller: Caller, nic: NicId) -> Card:
    """Return a NIC that the caller may change.

    Raises:
        NotFound: the project has no such NIC.
        Conflict: its instance is being deleted.
    """
    found = visible_nic(tx, caller, nic)
    check_own_card(caller, found)
    return found


def check_own(caller: Caller, target: Instance, unknown: NotFound) -> None:
    """Refuse to change an instance that is another project's, or on its way out.

    Raises:
        NotFound: `unknown`, for another project's.
        Conflict: it is being deleted.
    """
    if target.project != caller.project.id:
        # An administrator sees it, and still may not tie one project's things to another project's instance.
        raise unknown
    if target.state is InstanceState.DELETING:
        raise Conflict(f"Instance {target.id} is being deleted.")


def check_own_card(caller: Caller, card: Card) -> None:
    """Refuse to change a NIC that is another project's, or its instance's that is on its way out.

    Raises:
        NotFound: it is another project's.
        Conflict: its instance is being deleted.
    """
    unknown = NotFound("NIC", card.nic.id)
    if card.instance is not None:
        check_own(caller, card.instance, unknown)
    elif card.project != caller.project.id:
        raise unknown


def once(tx: Transaction, caller: Caller, key: str | None, request: tuple[object, ...], make: Callable[[], str]) -> str:
    """Do something at most once per idempotency key of a project, and return the id of what it made, now or then.

    Raises:
        Invalid: the key is too long, or was used for another request.
        Conflict: the same request is under way in another transaction.
    """
    if key is None:
        return make()
    if not key or len(key) > _MAX_IDEMPOTENCY_KEY or not key.isprintable():
        raise Invalid("Idempotency-Key", f"must be 1 to {_MAX_IDEMPOTENCY_KEY} printable characters")
    fingerprint = hashlib.sha256(json.dumps(request, default=str).encode()).hexdigest()
    known = tx.memory.recall(caller.project.id, key)
    if known is not None:
        if known.fingerprint != fingerprint:
            raise Invalid("Idempotency-Key", "was used for a different request")
        return known.object_id
    made = make()
    try:
        tx.memory.remember(caller.project.id, key, Remembered(fingerprint, made))
    except Duplicate as error:
        raise Conflict("The same request is being carried out.") from error
    return made
