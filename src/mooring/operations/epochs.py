"""What follows when a database is put back to an older state: an epoch begins, and hosts follow into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring.model.nouns import Host
from mooring.operations.interfaces import Chance, Store

_HEARD_FOR = timedelta(seconds=75)
"""Agents ask every five seconds what there is to hold, and where that takes long at least every minute: who lives so long after a moment has
asked since."""


@dataclass(frozen=True, slots=True)
class Laggard:
    """A host that may still hold what the database does not know, and why that is not known to be otherwise."""

    host: str
    reason: str


class EpochOperations:
    """For the operator who has put a backup back; no project and no host calls this."""

    def __init__(self, store: Store, chance: Chance) -> None:
        """Keep the store and a source of randomness."""
        self._store = store
        self._chance = chance

    def now(self) -> datetime:
        """Return the moment, by the database's clock."""
        with self._store.read() as tx:
            return tx.now()

    def begin(self, after: int = 0) -> int:
        """Begin an epoch, once the database has been put back to an older state; return its number, which is greater than `after`.

        Hosts then pull everything anew, and give up what the database does not know.  Until one has, it may hold addresses that are free.
        Hosts that have seen a later epoch stay as they are, and tell its number: they have, if the clock was set back since.
        """
        with self._store.write() as tx:
            # The time, because the database itself no longer knows how many there have been since its backup.
            epoch = int(tx.now().timestamp())
            if epoch <= (least := max(tx.deliveries.epoch(), after)):
                # The clock was set back.  The next number may have been another epoch's, after the same backup was put back before.
                epoch = least + 1 + int(self._chance.new_id()[4:8], 16)
            tx.deliveries.renew(epoch)
            # Whoever spoke before the clock was set back has not spoken since.
            ahead = [
                host.id for host in tx.topology.hosts() if host.last_seen is not None and host.last_seen > tx.now()
            ]
            if ahead:
                tx.topology.heard_of(ahead, tx.now())
        return epoch

    def laggards(self, since: datetime) -> Sequence[Laggard]:
        """Return the hosts that have not confirmed everything, or were not heard of for a while after a moment."""
        with self._store.read() as tx:
            behind = frozenset(tx.deliveries.behind())
            hosts = tx.topology.hosts()
        found: list[Laggard] = []
        for host in hosts:
            if not _heard_of(host, since):
                found.append(Laggard(host.name, "has not been heard of for long enough"))
            elif host.id in behind:
                found.append(Laggard(host.name, "has not confirmed everything"))
        return found


def _heard_of(host: Host, since: datetime) -> bool:
    return host.last_seen is not None and host.last_seen - since >= _HEARD_FOR
