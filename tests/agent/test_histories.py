"""Whatever happens in whatever order, the host ends up as its subjects say: the ledger's one promise, on the fake back-end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.agent.ledger import Ledger
from mooring.agent.settle import settle
from mooring.backends.fake import FakeBackend
from mooring.compile.facts import patched
from mooring.model.subjects import Placement
from tests.agent.world import World

_NICS = 5
_ADDRESSES = 4

_NUMBER = st.integers(0, _NICS - 1)
_STEP = st.one_of(
    st.tuples(st.just("add"), _NUMBER, st.just(0)),
    st.tuples(st.just("remove"), _NUMBER, st.just(0)),
    st.tuples(st.just("move"), st.integers(0, _ADDRESSES - 1), st.none() | _NUMBER),
    st.tuples(st.just("settle"), st.just(0), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
    st.tuples(st.just("refuse"), st.just(0), st.just(0)),
    st.tuples(st.just("tear"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("tamper"), st.integers(0, 200), st.just(0)),
    st.tuples(st.just("reorder"), st.just(0), st.just(0)),
)


class _History:
    """A controller, an agent's ledger and a host."""

    def __init__(self) -> None:
        self.world = World()
        self.backend = FakeBackend()
        self.ledger = Ledger()
        self.told = self.world.base()
        self.untold: list[list[Placement]] = [list(self.told)]

    def step(self, name: str, first: int, second: int | None) -> None:
        match name:
            case "add" if first not in self.world.nics:
                self.untold.append(self.world.add(first))
            case "remove" if first in self.world.nics:
                self.untold.append(self.world.remove(first))
            case "move" if second is None or second in self.world.nics:
                self.untold.append(self.world.move(first, second))
            case "settle":
                self.tell()
                settle(self.ledger, self.backend)
            case "restart":
                self.restart()
            case "refuse":
                self.backend.refuse()
            case "tear":
                self.backend.tear(first)
            case "tamper" if self.backend.state:
                keys = sorted(self.backend.state, key=str)
                self.backend.tamper(drop=[keys[first % len(keys)]])
            case "reorder":
                # A message that comes twice, and an older one after a newer: generations must sort it out.
                if self.untold:
                    self.ledger.hold(self.untold[-1])
                    self.untold.append(self.untold[0])
            case _:
                pass

    def tell(self) -> None:
        """Hand over what the controller has said since, as one pull of its newest state would."""
        self.ledger.hold([placed for batch in reversed(self.untold) for placed in batch])
        self.untold.clear()

    def restart(self) -> None:
        """Forget everything but the host itself, and hear all of it again."""
        self.ledger = Ledger()
        everything = [
            Placement(key, self.world.generations[key], role, s) for (key, role), s in self.world.subjects.items()
        ]
        self.untold.clear()
        self.ledger.hold(everything)
        self.ledger.observe(self.backend.read())

    def compare(self) -> None:
        """Do what the agent does every few seconds."""
        self.tell()
        self.ledger.refused.clear()
        self.ledger.hold([])
        self.ledger.observe(self.backend.read())
        settle(self.ledger, self.backend)


@settings(max_examples=150, deadline=None)
@given(st.lists(_STEP, max_size=25))
def test_any_history_ends_as_the_subjects_say(steps: list[tuple[str, int, int | None]]) -> None:
    history = _History()
    for step in steps:
        history.step(*step)
    for _ in range(4):
        history.compare()
    assert not history.ledger.refused
    assert history.backend.read() == history.world.compiled()
    assert not history.ledger.delta()


@settings(max_examples=50, deadline=None)
@given(st.lists(_STEP, max_size=15))
def test_the_ledger_knows_what_the_host_holds(steps: list[tuple[str, int, int | None]]) -> None:
    history = _History()
    for step in steps:
        if step[0] != "tamper":
            history.step(*step)
    history.compare()
    assert patched(history.backend.read(), history.ledger.delta(without=history.ledger.refused)) == {
        **history.ledger.desired()
    }
