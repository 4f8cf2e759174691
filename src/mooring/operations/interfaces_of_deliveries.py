"""What operations need of a store for what hosts should hold, and what they confirmed; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mooring.model.ids import (
    HostId,
)
from mooring.model.records import (
    WHOLE,
    Page,
)
from mooring.model.subjects import DigestEntry, HostRole, Placement, Report, SubjectKey


class Deliveries(Protocol):
    """The outbox: for each subject, host and role the newest generation, and the one that the host confirmed."""

    def place(self, key: SubjectKey, host: HostId, role: HostRole) -> None:
        """Add a host for a subject, to be told its present generation; nothing happens if it is there already and present."""
        ...

    def publish(self, key: SubjectKey, roles: Collection[HostRole] | None = None) -> tuple[int, frozenset[HostId]]:
        """Count a subject's generation upwards for all its hosts, or those in some roles; return it and the hosts to wake.

        For hosts in other roles nothing changes, and they have nothing to confirm; see mooring.policy.told for what they are told.
        """
        ...

    def withdraw(self, key: SubjectKey) -> tuple[int, frozenset[HostId]]:
        """Publish a new generation in which the hosts must hold the subject no longer."""
        ...

    def pending(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page = WHOLE) -> Sequence[Placement]:
        """Return a host's placements of the given keys, or all that it has not confirmed, with their subjects, in one snapshot.

        A public address that lingers on another NIC, whose gateway on another host has not confirmed it away, is left out.
        """
        ...

    def digest(self, host: HostId, page: Page = WHOLE) -> Sequence[DigestEntry]: ...

    def epoch(self) -> int:
        """Return the newest epoch; 0 if none was ever begun."""
        ...

    def renew(self, epoch: int) -> None:
        """Begin an epoch: every subject gets a generation of 2**20 times its number or more, which no host has confirmed."""
        ...

    def hosts(self, key: SubjectKey) -> Sequence[tuple[HostId, HostRole]]:
        """Return the hosts that hold a subject, and in which role; those that have to give it up are left out."""
        ...

    def digest_of(self, key: SubjectKey) -> Sequence[DigestEntry]:
        """Return an entry for each host and role that holds a subject or has still to give it up."""
        ...

    def confirm(self, host: HostId, report: Report) -> bool:
        """Record a report: a generation only ever rises, an error never confirms.  False if the report is older than what is known.

        A confirmed withdrawal removes the delivery.
        """
        ...

    def unconfirmed(self, key: SubjectKey, generation: int) -> bool:
        """Say whether any host of a subject that was told this generation, or gives the subject up, has not confirmed it or a newer one."""
        ...

    def settled(self, key: SubjectKey, roles: Collection[HostRole]) -> bool:
        """Say whether a subject is placed, and every host that must hold it in one of these roles has confirmed its newest generation.

        Hosts that have to give it up don't count.
        """
        ...

    def behind(self) -> Sequence[HostId]:
        """Return the hosts that have not confirmed everything."""
        ...

    def errors(self, host: HostId | None = None) -> Sequence[tuple[HostId, Report]]:
        """Return what hosts could not make true."""
        ...
