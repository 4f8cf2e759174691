"""The steps of a launch that hosts call for: a host, the networks there, and last the addresses."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Address

from mooring.model.faults import Conflict, Exhausted, NotFound, Unavailable
from mooring.model.ids import AddressId, HostId, InstanceId
from mooring.model.nouns import AddressKind, Instance, InstanceState, Network
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, publish
from mooring.operations.interfaces import AddressRow, RouterRow, Transaction
from mooring.operations.routing import take_next
from mooring.policy.addresses import usable
from mooring.policy.hosts import rank_compute, rank_gateway

_STUCK_AFTER = timedelta(seconds=10)


class LaunchOperations:
    """Called by the scheduler and by hosts, not by projects.  Every step may be repeated at any time."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def schedule(self, instance: InstanceId) -> HostId | None:
        """Choose a host for an instance that has none; return its host, or None if it needs none any longer.

        An instance for which no host can be found goes to the error state with the reason.
        """
        with self._door.store.write() as tx:
            known = tx.instances.get(instance)
            if known is None or known.state is not InstanceState.BUILDING:
                return None
            if known.host is not None:
                return known.host
            guests = Counter(other.host for other in tx.instances.list(None) if other.host is not None)
            ranked = rank_compute(tx.topology.hosts(), guests)
            if not ranked:
                tx.instances.move(instance, {InstanceState.BUILDING}, InstanceState.ERROR, "No host can run guests.")
                return None
            tx.instances.assign(instance, ranked[0].id)
            return ranked[0].id

    def set_up_network(self, host: HostId, instance: InstanceId) -> None:
        """Bring the networks of an instance to its host and, where they have none, to a gateway host.

        Raises:
            NotFound: the instance is not on this host (any longer).
            Unavailable: no host can be a gateway.
        """
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = _on_host(tx, host, instance)
            for network in {nic.network: None for nic in known.nics}:
                found = tx.topology.network(network)
                if found is not None:
                    changes += self._bring(tx, found, host)
        self._door.settle(changes)

    def _bring(self, tx: Transaction, network: Network, host: HostId) -> list[Published]:
        router = tx.topology.router(network.router)
        if router is None:
            raise NotFound("Router", network.router)
        gateway = router.host or _choose_gateway(tx, router)
        network_key = SubjectKey(SubjectKind.NETWORK, network.id)
        router_key = SubjectKey(SubjectKind.ROUTER, router.id)
        before = len(tx.deliveries.digest_of(network_key)) + len(tx.deliveries.digest_of(router_key))
        # Whatever the host's part, a network is one bridge there: it is placed once, in one role.
        tx.deliveries.place(network_key, host, HostRole.COMPUTE)
        tx.deliveries.place(network_key, gateway, HostRole.COMPUTE)
        # The router comes with all of its networks: it has a device on the bridge of each.
        for other in tx.topology.networks_of_router(router.id):
            tx.deliveries.place(SubjectKey(SubjectKind.NETWORK, other.id), gateway, HostRole.COMPUTE)
        tx.deliveries.place(router_key, gateway, HostRole.GATEWAY)
        after = len(tx.deliveries.digest_of(network_key)) + len(tx.deliveries.digest_of(router_key))
        return [publish(tx, network_key), publish(tx, router_key)] if after != before else []

    def allocate_fixed_ips(self, host: HostId, instance: InstanceId) -> None:
        """Give every NIC of an instance a fixed IP and bring it to the compute host and to its gateway.

        Without a free address the instance goes to the error state with the reason.

        Raises:
            NotFound: the instance is not on this host (any longer).
        """
        try:
            with self._door.store.write() as tx:
                changes = self._allocate(tx, _on_host(tx, host, instance), host)
        except Exhausted as fault:
            with self._door.store.write() as tx:
                tx.instances.move(instance, {InstanceState.BUILDING}, InstanceState.ERROR, fault.reason)
            return
        self._door.settle(changes)

    def _allocate(self, tx: Transaction, instance: Instance, host: HostId) -> list[Published]:
        changes: list[Published] = []
        for nic in instance.nics:
            network = tx.topology.network(nic.network)
            router = tx.topology.router(network.router) if network else None
            if network is None or router is None or router.host is None:
                raise Conflict(f"Network {nic.network_name} has not been set up.")
            if not nic.fixed:
                row = AddressRow(
                    AddressId(self._door.clock.new_id()),
                    network.id,
                    IPv4Address(0),
                    AddressKind.FIXED,
                    network=network.id,
                    nic=nic.id,
                )
                take_next(tx, network.id, (usable(network.cidr),), row)
            key = SubjectKey(SubjectKind.NIC, nic.id)
            if nic.fixed and tx.deliveries.digest_of(key):
                continue
            tx.deliveries.place(key, host, HostRole.COMPUTE)
            tx.deliveries.place(key, router.host, HostRole.GATEWAY)
            changes.append(publish(tx, key))
        return changes

    def stuck(self) -> Sequence[Instance]:
        """Return instances whose launch has not moved for a while: a message was lost, or a process died in mid-launch."""
        before = self._door.clock.now() - _STUCK_AFTER
        with self._door.store.read() as tx:
            return tx.instances.stale({InstanceState.BUILDING}, before)


def _on_host(tx: Transaction, host: HostId, instance: InstanceId) -> Instance:
    known = tx.instances.get(instance)
    if known is None or known.host != host or known.state is not InstanceState.BUILDING:
        raise NotFound("Instance", instance)
    return known


def _choose_gateway(tx: Transaction, router: RouterRow) -> HostId:
    routers = Counter(other.host for other in tx.topology.routers() if other.host is not None)
    for candidate in rank_gateway(tx.topology.hosts(), routers):
        if tx.topology.claim_router(router.id, candidate.id):
            return candidate.id
        now = tx.topology.router(router.id)
        if now is not None and now.host is not None:
            return now.host
    raise Unavailable("No host can be a gateway.")
