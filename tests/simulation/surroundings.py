"""What every simulated thing shares: the baton, chance, faults, partitions, clocks, and the counters of what was reached."""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from mooring.model.faults import Unavailable
from mooring.model.ids import HostId
from mooring.model.subjects import InstanceIntent
from tests.simulation.baton import Baton, Process
from tests.simulation.database.engine import Gate
from tests.simulation.faults import Faults

START = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
CONTROL = "control"


class Surroundings:
    """One simulated installation's weather."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.baton = Baton(seed)
        self.chance = random.Random(f"chance {seed}")
        self.mixture = faults if faults is not None else Faults.draw(self.chance)
        self.faults = Faults.none()
        self.sometimes: Counter[str] = Counter()
        self.sites: dict[Process, str] = {}
        self.deaf: Counter[str] = Counter()
        self.mute: Counter[str] = Counter()
        self.clock_is_off = 0.0
        self.database_away_until = 0.0
        self.database_changed = True
        self.kernels_changed = True
        self.guest_starts: Callable[[HostId, InstanceIntent], None] = lambda _host, _guest: None

    def process(self, name: str, site: str = CONTROL) -> Process:
        """Return a new process at a site."""
        made = Process(name)
        self.sites[made] = site
        return made

    def happens(self, probability: float) -> bool:
        """Draw whether something happens."""
        return probability > 0 and self.chance.random() < probability

    def reached(self, state: str) -> None:
        """Count that an interesting state was reached."""
        self.sometimes[state] += 1

    def is_cut(self, sender: Process, receiver: Process) -> bool:
        """Say whether a message from one process to another is lost on the way."""
        return self.mute[self.sites[sender]] > 0 or self.deaf[self.sites[receiver]] > 0

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Let nothing new go wrong for a while."""
        before, calm = self.faults, Faults.none()
        self.faults = calm
        try:
            yield
        finally:
            if self.faults is calm:
                self.faults = before

    def database_now(self) -> datetime:
        """Return what the database's clock says; it may be set, forward and back."""
        return START + timedelta(seconds=self.baton.now + self.clock_is_off)


class SimulatedChance:
    """See mooring.operations.interfaces.Chance: ids, addresses and secrets from the seed."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._around.chance.getrandbits(128), version=4))

    def new_mac(self) -> str:
        return "fa:16:3e:" + ":".join(f"{self._around.chance.getrandbits(8):02x}" for _ in range(3))

    def new_secret(self) -> str:
        return f"{self._around.chance.getrandbits(256):064x}"


class SimulatedGate(Gate):
    """Lets others run between transactions, kills processes around commits, and takes the database away."""

    def __init__(self, around: Surroundings, process: Process) -> None:
        self._around = around
        self._process = process

    def begin(self, kind: str) -> None:
        around = self._around
        around.baton.pause()
        around.baton.note(kind)
        if around.baton.now < around.database_away_until:
            around.reached("database away")
            raise Unavailable("The database is not available.", detail="simulated")

    def commit(self) -> None:
        around = self._around
        around.baton.check()
        if around.happens(around.faults.crash_before_commit):
            around.reached("crash before commit")
            around.baton.note("crash before commit")
            around.baton.kill(self._process)
        if around.happens(around.faults.commit_refused):
            around.reached("commit refused")
            raise Unavailable("The database is not available.", detail="simulated: commit refused")

    def committed(self) -> None:
        around = self._around
        around.database_changed = True
        around.baton.note("committed")
        if around.happens(around.faults.crash_after_commit):
            around.reached("crash between commit and publish")
            around.baton.note("crash after commit")
            around.baton.kill(self._process)
        if around.happens(around.faults.commit_unknown):
            around.reached("commit done and not known")
            raise Unavailable("The database is not available.", detail="simulated: outcome unknown")
        around.baton.pause()
