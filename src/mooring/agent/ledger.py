"""The ledger: what the host's subjects ask for, what the kernel holds, and the difference between the two.

    subjects --facts_of--> desired --+
                                     +-- pending --> Delta
    kernel ----read------> actual ---+

One subject's change costs what that subject has in facts, however many others there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mooring.compile.facts import Delta, HostState, Key, Place, Row, fact_line
from mooring.compile.host import facts_of
from mooring.model.subjects import Digest, DigestEntry, HostRole, InstanceIntent, Placement, SubjectKey, SubjectKind

_ORDER = {
    SubjectKind.NETWORK: 0,
    SubjectKind.ROUTER: 1,
    SubjectKind.GROUP: 2,
    SubjectKind.NIC: 3,
    SubjectKind.INSTANCE: 4,
}

_OF_BEFORE = 0
"""The generation of whatever is held of an older epoch: it lasts until what is newer has been pulled, which may take several attempts."""


class WentBack(Exception):
    """The controller's database is an older one, and nobody has said that this is meant."""


@dataclass(frozen=True, slots=True)
class Part:
    """A subject in a role: the unit of settling, of quarantine and of reports."""

    key: SubjectKey
    role: HostRole

    @property
    def order(self) -> tuple[int, str, str]:
        """Networks before routers before groups before NICs: the order in which one can rest on another."""
        return (_ORDER[self.key.kind], self.key.id, self.role)


class Ledger:
    """Desired, actual and pending facts of one host.  Not thread-safe: one loop owns it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._epoch: int | None = None
        self._held: dict[Part, Placement] = {}
        self._facts: dict[Part, dict[Key, Row]] = {}
        self._desired: dict[Key, Row] = {}
        self._owner: dict[Key, Part] = {}
        # Of facts that several parts may state, all who do; the owner is one of them.
        self._sharers: dict[Key, dict[Part, None]] = {}
        self._actual: dict[Key, Row] = {}
        self._pending: set[Key] = set()
        self._orphans: dict[Part, set[Key]] = {}
        self._instances: dict[Part, None] = {}
        self.observed: dict[Key, Row] = {}
        """How the host finds the world: facts that nobody asks for."""
        self.refused: dict[Part, str] = {}

    def hold(self, placements: Iterable[Placement]) -> set[Part]:
        """Take in placements, ignoring those older than what is held; return the parts that changed.

        A part whose facts contradict another's is refused whole, with the reason in `refused`, until either changes.
        """
        news: dict[Part, Placement] = {}
        for placed in placements:
            part = Part(placed.key, placed.role)
            known = news.get(part) or self._held.get(part)
            if known is None or placed.generation > known.generation:
                news[part] = placed
        changed = set(news)
        for part in changed:
            self._withdraw_facts(part)
        for part, placed in news.items():
            self._held[part] = placed
            if placed.key.kind is SubjectKind.INSTANCE:
                self._instances[part] = None
        # What was refused for standing in the way of something may fit now.
        again = changed | {part for part in self.refused if part in self._held and part not in self._facts}
        for part in sorted(again, key=lambda part: part.order):
            self._state_facts(part)
        return again

    def _withdraw_facts(self, part: Part) -> None:
        self.refused.pop(part, None)
        for key in self._facts.pop(part, {}):
            if key.table.shared and self._is_left_to_others(key, part):
                continue
            del self._desired[key]
            del self._owner[key]
            self._pending.add(key)
            self._orphans.setdefault(part, set()).add(key)

    def _is_left_to_others(self, key: Key, part: Part) -> bool:
        sharers = self._sharers[key]
        del sharers[part]
        if not sharers:
            del self._sharers[key]
            return False
        self._owner[key] = next(iter(sharers))
        return True

    def _state_facts(self, part: Part) -> None:
        subject = self._held[part].subject
        facts = {} if subject is None else {fact.key: fact.value for fact in facts_of(subject, part.role)}
        for key, value in facts.items():
            owner = self._owner.get(key)
            if owner is not None and not (key.table.shared and self._desired[key] == value):
                self.refused[part] = f"contradicts {owner.key}: {fact_line(key, value)}"
                return
        self.refused.pop(part, None)
        self._facts[part] = facts
        for key, value in facts.items():
            if key.table.shared:
                self._sharers.setdefault(key, {})[part] = None
            self._desired[key] = value
            self._owner.setdefault(key, part)
            self._pending.add(key)

    def accept(self, digest: Digest) -> None:
        """Look whether a digest can follow on what is held.

        What is held of an older epoch counts as older than anything of a newer one, in which what was made late may be numbered from 1 again.

        Raises:
            WentBack: it is of an older epoch, or within the same one something got older, or disappeared without having been withdrawn.
        """
        if self._epoch is not None and digest.epoch <= self._epoch:
            if digest.epoch < self._epoch:
                raise WentBack(f"epoch {digest.epoch} after {self._epoch}")
            listed = {Part(entry.key, entry.role): entry.generation for entry in digest.entries}
            for part, placed in self._held.items():
                newest = listed.get(part)
                if newest is None and placed.subject is not None and placed.generation > _OF_BEFORE:
                    raise WentBack(f"{part.key} is gone, and was not withdrawn")
                if newest is not None and newest < placed.generation:
                    raise WentBack(f"generation {newest} of {part.key} after {placed.generation}")
        elif self._epoch is not None:
            self._held = {part: replace(placed, generation=_OF_BEFORE) for part, placed in self._held.items()}
        self._epoch = digest.epoch

    def forget_absent(self, digest: Sequence[DigestEntry]) -> None:
        """Give up what the controller no longer lists: its withdrawal was confirmed, or a new epoch does not know it."""
        listed = {Part(entry.key, entry.role) for entry in digest}
        for part in [part for part in self._held if part not in listed]:
            self._withdraw_facts(part)
            del self._held[part]
            self._instances.pop(part, None)

    def missing(self, digest: Sequence[DigestEntry]) -> list[SubjectKey]:
        """Return the subjects of which the controller lists something newer than what is held."""
        return [entry.key for entry in digest if self._older(entry)]

    def _older(self, entry: DigestEntry) -> bool:
        held = self._held.get(Part(entry.key, entry.role))
        return held is None or held.generation < entry.generation

    def observe(self, state: HostState, place: Place | None = None) -> None:
        """Take what the kernel holds, at one place or everywhere, for the truth."""
        if place is None:
            old = self._actual
        else:
            old = {key: value for key, value in self._actual.items() if key.place == place}
        if state == old:
            # Nothing is new, so what is pending stays so.  A back-end that returns the very facts that it returned before is compared by
            # their identity: 0.1 s for 800,000, where to hash them all takes 20 times that.
            self._actual = dict(state) if place is None else self._actual
            return
        if place is None:
            self._actual = dict(state)
        else:
            for key in old:
                del self._actual[key]
            self._actual.update(state)
        for key in old.keys() | state.keys():
            if key.table.observed:
                self.observed.pop(key, None)
            else:
                self._pending.add(key)
        self.observed.update((key, value) for key, value in state.items() if key.table.observed)
        for key in self._desired.keys() - self._actual.keys():
            if place is None or key.place == place:
                self._pending.add(key)

    def applied(self, delta: Delta) -> None:
        """Record that a delta holds."""
        for key in delta.drop:
            self._actual.pop(key, None)
        self._actual.update(delta.put)

    def delta(self, without: Iterable[Part] = ()) -> Delta:
        """Return what is pending, leaving out what the given parts ask for."""
        left_out = set(without)
        put: dict[Key, Row] = {}
        drop: dict[Key, Row] = {}
        for key in self._prune():
            owner = self._owner.get(key)
            if owner is not None and owner in left_out and left_out.issuperset(self._sharers.get(key, ())):
                continue
            self._add(key, put, drop)
        return Delta(put, drop)

    def delta_of(self, part: Part) -> Delta:
        """Return what is pending of one part: what it asks for, and what is to go that was last its own."""
        put: dict[Key, Row] = {}
        drop: dict[Key, Row] = {}
        pending = self._prune()
        for key in (self._facts.get(part, {}).keys() | self._orphans.get(part, set())) & pending:
            if self._owner.get(key, part) == part or part in self._sharers.get(key, ()):
                self._add(key, put, drop)
        return Delta(put, drop)

    def strays(self) -> Delta:
        """Return what is pending that no part asks for or last had: foreign facts in our places."""
        ours = set[Key]().union(*self._orphans.values())
        put: dict[Key, Row] = {}
        drop: dict[Key, Row] = {}
        for key in self._prune():
            if key not in self._owner and key not in ours:
                self._add(key, put, drop)
        return Delta(put, drop)

    def _prune(self) -> set[Key]:
        """Keep as pending only what really differs."""
        self._pending = {key for key in self._pending if self._desired.get(key) != self._actual.get(key)}
        for part in [part for part, keys in self._orphans.items() if not keys & self._pending]:
            del self._orphans[part]
        return self._pending

    @property
    def pending(self) -> int:
        """How many facts differ from what is asked for."""
        return len(self._prune())

    @property
    def size(self) -> int:
        """How many facts are asked for."""
        return len(self._desired)

    def _add(self, key: Key, put: dict[Key, Row], drop: dict[Key, Row]) -> None:
        wanted, there = self._desired.get(key), self._actual.get(key)
        if there is not None:
            drop[key] = there
        if wanted is not None:
            put[key] = wanted

    def unsettled(self) -> set[Part]:
        """Return the parts of which something is pending or refused."""
        pending = self._prune()
        parts = {self._owner[key] for key in pending if key in self._owner}
        parts.update(part for key in pending if key.table.shared for part in self._sharers.get(key, ()))
        return parts | set(self._orphans) | set(self.refused)

    def parts(self) -> list[Part]:
        """Return all parts, networks before routers before groups before NICs."""
        return sorted(self._held.keys() | self._orphans.keys(), key=lambda part: part.order)

    def placement(self, part: Part) -> Placement | None:
        """Return what is held of a part."""
        return self._held.get(part)

    def instances(self) -> list[Placement]:
        """Return the placements of instances."""
        return [self._held[part] for part in self._instances]

    def ready(self, guest: InstanceIntent) -> bool:
        """Say whether every NIC of a guest has its facts in place on this host."""
        unsettled = self.unsettled()
        parts = [Part(SubjectKey(SubjectKind.NIC, nic.id), HostRole.COMPUTE) for nic in guest.nics]
        return all(part in self._held and part not in unsettled for part in parts)

    def desired(self) -> HostState:
        """Return everything that is asked for."""
        return dict(self._desired)
