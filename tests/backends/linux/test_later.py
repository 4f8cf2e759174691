import threading
import time

import pytest

from mooring.backends.linux.later import Later


@pytest.fixture
def later():
    made = Later()
    yield made
    made.close()


def _wait(done: threading.Event) -> None:
    assert done.wait(10)


def test_work_is_done_after_each_delay_and_then_forgotten(later: Later):
    times: list[int] = []
    done = threading.Event()
    later.do("subject", (0.02, 0.0, 0.01), lambda: times.append(len(times)))
    later.do("the end", (0.05,), done.set)
    _wait(done)
    assert times == [0, 1, 2]
    assert later._current == {}


def test_newer_work_about_a_subject_takes_the_place_of_older(later: Later):
    said: list[str] = []
    done = threading.Event()
    later.do("subject", (0.02, 0.03), lambda: said.append("old"))
    later.do("subject", (0.02,), lambda: said.append("new"))
    later.do("the end", (0.05,), done.set)
    _wait(done)
    assert said == ["new"]


def test_nothing_is_done_about_a_subject_that_was_called_off(later: Later):
    said: list[str] = []
    done = threading.Event()
    later.do("subject", (0.02,), lambda: said.append("work"))
    later.call_off("subject")
    later.do("the end", (0.05,), done.set)
    _wait(done)
    assert said == []


def test_who_calls_off_waits_for_what_is_being_done(later: Later):
    """Whoever is told that an address has gone may give it to another host: no late announcement may follow."""
    begun, may_end, called_off = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)

    def call_off() -> None:
        later.call_off("subject")
        called_off.set()

    later.do("subject", (0.0,), work)
    _wait(begun)
    later.call_off("another")
    caller = threading.Thread(target=call_off)
    caller.start()
    assert not called_off.wait(0.1)
    may_end.set()
    _wait(called_off)
    caller.join()


def test_a_piece_of_work_costs_the_same_however_much_waits(later: Later):
    """Quadratic work would take minutes here: 90,000 pieces each looked at 90,000."""
    done = threading.Event()
    for subject in range(30_000):
        later.do(subject, (0.0, 0.1, 0.2), lambda: None)
    start = time.monotonic()
    later.do("the end", (0.3,), done.set)
    assert done.wait(60), f"still not done after {time.monotonic() - start:.0f} s"
