"""Port forwardings: ports of a project's floating IPs that lead to its guests, to several from one address."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import AddressId, ForwardingId, InstanceId, NicId, ProjectId, RouterId
from mooring.model.nouns import FixedIp, FloatingIp, Nic, PortForwarding, Resource
from mooring.model.subjects import Transport
from mooring.operations.addresses import visible_floating
from mooring.operations.associations import fixed_of_card, fixed_of_instance, let_go, published
from mooring.operations.door import Door, Published, check_own, check_own_card, once, visible_instance, visible_nic
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, Referenced, Transaction
from mooring.operations.pools import check_granted
from mooring.operations.routing import check_led, connect
from mooring.policy.roles import Verb

_LAST_PORT = 65535

MOST_SHIFTED = 1024
"""So many ports at most may be led to others in one forwarding: a host has an element for each of them.  For ports that stay the same it has few."""

MOST_TEXT = 255
"""How long a description may be."""


@dataclass(frozen=True, slots=True)
class NewForwarding:
    """Ports of a floating IP that are to lead to a guest.

    `first` to `last` are the floating IP's, `to` to `to_last` as many of the guest's; without an end each is one port, or as many as the other
    side has; without `to` they are the same.  The guest is a NIC or an instance, and `fixed` one of its addresses, needed if there are several.  With
    `sole` it is refused for a guest's port that another one leads to already, and for an address that has a floating IP of its own.
    """

    protocol: str
    first: int
    last: int | None = None
    to: int | None = None
    to_last: int | None = None
    nic: NicId | None = None
    instance: InstanceId | None = None
    fixed: IPv4Address | None = None
    description: str = ""
    sole: bool = False


@dataclass(frozen=True, slots=True)
class ForwardingChange:
    """What changes of a forwarding; None stays as it is.  Another NIC needs its `fixed` if it has several addresses."""

    protocol: str | None = None
    first: int | None = None
    last: int | None = None
    to: int | None = None
    to_last: int | None = None
    nic: NicId | None = None
    fixed: IPv4Address | None = None
    description: str | None = None
    sole: bool = False


class ForwardingOperations:
    """Port forwardings of a project.  A change returns when the hosts concerned have confirmed it."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def listing(self, caller: Caller, *, every_project: bool = False) -> Sequence[PortForwarding]:
        """Return the project's port forwardings, or with `every_project` an administrator everybody's."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.forwardings.list(None if every_project and caller.is_admin else caller.project.id)

    def of_floating(self, caller: Caller, floating: AddressId) -> Sequence[PortForwarding]:
        """Return the forwardings of a floating IP, in the order in which they were made.

        Raises:
            NotFound: the project has no such floating IP.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.forwardings.of_floating([visible_floating(tx, caller, floating).id])

    def of_several(self, caller: Caller, floatings: Collection[AddressId]) -> Sequence[PortForwarding]:
        """Return the forwardings of those of some floating IPs that the caller may know of."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            found = tx.forwardings.of_floating(floatings)
        return [each for each in found if caller.is_admin or each.project == caller.project.id]

    def get(self, caller: Caller, forwarding: ForwardingId, *, of: AddressId | None = None) -> PortForwarding:
        """Return a port forwarding; with `of`, only if it is one of that floating IP's, here as in what follows.

        Raises:
            NotFound: the project has no such forwarding, or no such floating IP.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return _visible(tx, caller, forwarding, of)

    def create(
        self, caller: Caller, floating: AddressId, new: NewForwarding, idempotency_key: str | None = None
    ) -> PortForwarding:
        """Let ports of a floating IP lead to a guest: when this returns, they do.

        Raises:
            NotFound: the project has no such floating IP, NIC or instance.
            Invalid: ports or a protocol that cannot be, a fixed address that is none of the guest's, or none was named of several.
            NotReady: the guest has no fixed IP yet.
            QuotaExceeded: the project has as many as it may.
            Conflict: a port is forwarded already; the floating IP is associated, or its ports lead behind another router; the network has none; the
                instance is being deleted; or what `sole` refuses.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        changes: list[Published] = []
        request = ("forward", floating, *(str(getattr(new, name)) for name in NewForwarding.__slots__))
        with self._door.store.write() as tx:
            known = visible_floating(tx, caller, floating)
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, caller, known, new, changes))
            forwarding = tx.forwardings.get(ForwardingId(made))
        self._door.settle(changes)
        if forwarding is None:
            raise NotFound("Port forwarding", made)
        return forwarding

    def _create(
        self, tx: Transaction, caller: Caller, floating: FloatingIp, new: NewForwarding, changes: list[Published]
    ) -> ForwardingId:
        nic, fixed = _guest(tx, caller, floating.project, new)
        ports = _Ports.of(new)
        if not tx.quotas.take(floating.project, Resource.PORT_FORWARDINGS):
            limit = tx.quotas.get(floating.project, Resource.PORT_FORWARDINGS).limit
            raise QuotaExceeded("port forwardings", limit)
        row = tx.instances.nic(nic.id)
        if row is None:
            raise NotFound("NIC", nic.id)
        forwarding = PortForwarding(
            id=ForwardingId(self._door.chance.new_id()),
            project=floating.project,
            floating=floating.id,
            address=floating.address,
            protocol=_protocol(new.protocol),
            first=ports.first,
            last=ports.last,
            to=ports.to,
            fixed=fixed.address,
            nic=nic.id,
            instance=row.instance,
            network=nic.network,
            description=_text(new.description),
        )
        self._check(tx, floating, nic, forwarding, sole=new.sole)
        changes += self._led(tx, caller, floating, nic)
        with _Refusals(floating, forwarding):
            tx.forwardings.add(forwarding, fixed.id)
        note(tx, caller, Action.FORWARDING_CREATE, forwarding.id, forwarding.project, **_said(forwarding))
        changes += published(tx, floating.id, nic.id)
        return forwarding.id

    def change(
        self, caller: Caller, forwarding: ForwardingId, wanted: ForwardingChange, *, of: AddressId | None = None
    ) -> PortForwarding:
        """Let a forwarding be otherwise: flows by ports that lead elsewhere from now on end.  Without any change nothing happens.

        Raises:
            NotFound: the project has no such forwarding or NIC.
            Invalid: as for `create`.
            NotReady: as for `create`.
            Conflict: as for `create`.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = _visible(tx, caller, forwarding, of)
            floating = visible_floating(tx, caller, known.floating)
            asked = _whole(known, wanted)
            nic, fixed = _guest(tx, caller, known.project, asked)
            ports = _Ports.of(asked)
            new = replace(
                known,
                protocol=_protocol(asked.protocol),
                first=ports.first,
                last=ports.last,
                to=ports.to,
                fixed=fixed.address,
                nic=nic.id,
                network=nic.network,
                description=_text(asked.description),
            )
            if new != known:
                self._check(tx, floating, nic, new, sole=wanted.sole)
                changes += self._led(tx, caller, floating, nic)
                with _Refusals(floating, new):
                    tx.forwardings.change(new, fixed.id)
                note(tx, caller, Action.FORWARDING_CHANGE, known.id, known.project, **_said(new))
                if new.nic != known.nic:
                    changes.append(let_go(tx, known.nic, [known.floating]))
                changes += published(tx, floating.id, nic.id)
            changed = _visible(tx, caller, forwarding)
        self._door.settle(changes)
        return changed

    def delete(self, caller: Caller, forwarding: ForwardingId, *, of: AddressId | None = None) -> None:
        """Take a forwarding back: when this returns, no packet to its ports reaches the guest and none of their flows goes on.

        Raises:
            NotFound: the project has no such forwarding.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            known = _visible(tx, caller, forwarding, of)
            changes = end_forwardings(tx, caller, [known])
        self._door.settle(changes)

    def _check(
        self, tx: Transaction, floating: FloatingIp, nic: Nic, forwarding: PortForwarding, *, sole: bool
    ) -> None:
        if floating.nic is not None:
            reason = f"Floating IP {floating.address} is associated with fixed IP {floating.fixed}: end that first."
            raise Conflict(reason, field="floating_ip")
        others = [each for each in tx.forwardings.of_floating([floating.id]) if each.id != forwarding.id]
        router = _router_of(tx, nic)
        for other in {each.network: each for each in others}.values():
            if (network := tx.topology.network(other.network)) is not None and network.router != router:
                reason = (
                    f"Ports of floating IP {floating.address} lead behind another router already: {other.id}, {other}."
                )
                raise Conflict(reason, field="routers")
        for other in others:
            if (
                other.protocol is forwarding.protocol
                and other.first <= forwarding.last
                and forwarding.first <= other.last
            ):
                reason = f"Already forwarded: {other}, to {other.fixed} by port forwarding {other.id}."
                raise Conflict(reason, field="external_port")
        if not sole:
            return
        if own := next((each for each in nic.floating if each.fixed == forwarding.fixed), None):
            reason = (
                f"Fixed IP {forwarding.fixed} has floating IP {own.address}, by which all of its ports are reached."
            )
            raise Conflict(reason, field="fixed_address")
        for other in tx.forwardings.of_nic(nic.id):
            same = (other.fixed, other.protocol) == (forwarding.fixed, forwarding.protocol)
            if same and other.id != forwarding.id and other.to <= forwarding.to_last and forwarding.to <= other.to_last:
                reason = f"Already reached: by {other}, which is port forwarding {other.id}."
                raise Conflict(reason, field="internal_port")

    def _led(self, tx: Transaction, caller: Caller, floating: FloatingIp, nic: Nic) -> list[Published]:
        """See that the guest's router has a way to the floating IP's provider."""
        pool = tx.topology.pool(floating.pool)
        if pool is None:
            raise NotFound("Pool", floating.pool_name)
        check_granted(tx, caller, pool)
        found = _router_of(tx, nic)
        router = tx.topology.router(found) if found is not None else None
        if router is None:
            reason = f"Network {nic.network_name} has no router of mooring's: no floating IP can lead there."
            raise Conflict(reason, field="router")
        check_led(tx, router, pool, nic.network_name)
        if tx.topology.router_has_uplink(router.id, pool.uplink):
            return []
        return connect(self._door, tx, router, pool)


def end_forwardings(tx: Transaction, caller: Caller, forwardings: Sequence[PortForwarding]) -> list[Published]:
    """Delete forwardings for a caller, and remember that the hosts of their NICs may hold the floating IPs until they confirm."""
    held: dict[NicId, list[AddressId]] = {}
    for forwarding in forwardings:
        if tx.forwardings.delete(forwarding.id):
            tx.quotas.give(forwarding.project, Resource.PORT_FORWARDINGS)
            note(tx, caller, Action.FORWARDING_DELETE, forwarding.id, forwarding.project, **_said(forwarding))
            held.setdefault(forwarding.nic, []).append(forwarding.floating)
    return [let_go(tx, nic, list(dict.fromkeys(floatings))) for nic, floatings in held.items()]


class _Refusals:
    """What the database refuses though it was looked at before: others were faster."""

    def __init__(self, floating: FloatingIp, forwarding: PortForwarding) -> None:
        self._floating = floating
        self._forwarding = forwarding

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Duplicate):
            raise Conflict(f"Already forwarded: a port of {self._forwarding}.", field="external_port") from error
        if isinstance(error, Referenced):
            reason = f"Floating IP {self._floating.address} or fixed IP {self._forwarding.fixed} is being changed."
            raise Conflict(reason, field="floating_ip") from error


@dataclass(frozen=True, slots=True)
class _Ports:
    """Ports of both sides, checked."""

    first: int
    last: int
    to: int

    @classmethod
    def of(cls, new: NewForwarding) -> "_Ports":
        to = new.first if new.to is None else new.to
        last, to_last = new.last, new.to_last
        if last is None:
            last = new.first if to_last is None else new.first + to_last - to
        if to_last is None:
            to_last = to + last - new.first
        for name, ends in (("external_port", (new.first, last)), ("internal_port", (to, to_last))):
            if not all(1 <= port <= _LAST_PORT for port in ends):
                raise Invalid(name, f"{_written(*ends)} is not within 1 to {_LAST_PORT}")
            if ends[1] < ends[0]:
                raise Invalid(name, f"{_written(*ends)} ends before it begins")
        if last - new.first != to_last - to:
            reason = f"{_written(to, to_last)} are not as many ports as {_written(new.first, last)}"
            raise Invalid("internal_port", reason)
        if to != new.first and last - new.first >= MOST_SHIFTED:
            reason = f"at most {MOST_SHIFTED} ports can lead to others; any number to the same ports"
            raise Invalid("internal_port", reason)
        return cls(new.first, last, to)


def _written(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _said(forwarding: PortForwarding) -> dict[str, object]:
    """Return what is noted of a forwarding."""
    return {
        "floating_ip": forwarding.address,
        "protocol": forwarding.protocol.value,
        "external_port": _written(forwarding.first, forwarding.last),
        "internal_port": _written(forwarding.to, forwarding.to_last),
        "fixed": forwarding.fixed,
        "nic": forwarding.nic,
    }


def _whole(known: PortForwarding, wanted: ForwardingChange) -> NewForwarding:
    """Return what would make a forwarding that is changed; where no end is named, it keeps its length."""
    first = known.first if wanted.first is None else wanted.first
    last = wanted.last
    if last is None and wanted.to_last is None:
        last = first + known.last - known.first
    return NewForwarding(
        protocol=known.protocol if wanted.protocol is None else wanted.protocol,
        first=first,
        last=last,
        to=known.to if wanted.to is None else wanted.to,
        to_last=wanted.to_last,
        nic=known.nic if wanted.nic is None else wanted.nic,
        fixed=known.fixed if wanted.fixed is None and wanted.nic is None else wanted.fixed,
        description=known.description if wanted.description is None else wanted.description,
        sole=wanted.sole,
    )


def _protocol(text: str) -> Transport:
    try:
        return Transport(text.lower())
    except ValueError:
        raise Invalid("protocol", f"must be {' or '.join(Transport)}") from None


def _text(text: str) -> str:
    if len(text) > MOST_TEXT or not all(char.isprintable() for char in text):
        raise Invalid("description", f"must be at most {MOST_TEXT} printable characters")
    return text


def _visible(tx: Transaction, caller: Caller, forwarding: ForwardingId, of: AddressId | None = None) -> PortForwarding:
    if of is not None:
        visible_floating(tx, caller, of)
    known = tx.forwardings.get(forwarding)
    if (
        known is None
        or (known.project != caller.project.id and not caller.is_admin)
        or of not in {None, known.floating}
    ):
        raise NotFound("Port forwarding", forwarding)
    return known


def _guest(tx: Transaction, caller: Caller, project: ProjectId, new: NewForwarding) -> tuple[Nic, FixedIp]:
    """Return the NIC and the address that are meant, of the floating IP's own project."""
    if (new.nic is None) is (new.instance is None):
        raise Invalid("nic", "name a NIC or an instance, and not both")
    owner = replace(caller, project=replace(caller.project, id=project))
    if new.nic is not None:
        card = visible_nic(tx, caller, new.nic)
        check_own_card(owner, card)
        if new.fixed is None and len(card.nic.fixed) > 1:
            raise Invalid("fixed_address", f"NIC {new.nic} has several: name one")
        return fixed_of_card(card, new.fixed)
    instance = visible_instance(tx, caller, InstanceId(str(new.instance)))
    check_own(owner, instance, NotFound("Instance", new.instance))
    if new.fixed is None and sum(len(card.fixed) for card in instance.nics) > 1:
        raise Invalid("fixed_address", f"Instance {new.instance} has several: name one")
    return fixed_of_instance(instance, new.fixed)


def _router_of(tx: Transaction, nic: Nic) -> RouterId | None:
    network = tx.topology.network(nic.network)
    return network.router if network is not None else None
