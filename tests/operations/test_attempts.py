"""Wrong passwords: how many are answered, who has to wait, and who hasn't."""

import pytest

from mooring.model.faults import TooManyAttempts, Unauthenticated
from mooring.operations import attempts
from mooring.operations.attempts import Attempts


class Watch:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def wrong(counted: Attempts, account: str, source: str | None) -> None:
    with pytest.raises(Unauthenticated), counted.attempt(account, source):
        raise Unauthenticated("no")


def right(counted: Attempts, account: str, source: str | None) -> None:
    with counted.attempt(account, source):
        pass


def waits(counted: Attempts, account: str, source: str | None) -> int:
    """Return for how long a log-in that is refused unread has to wait."""
    with pytest.raises(TooManyAttempts) as refused, counted.attempt(account, source):
        raise AssertionError("it was tried")
    return refused.value.retry_after


def test_an_account_is_asked_so_often_and_then_at_that_rate(watch: Watch) -> None:
    counted = Attempts(per_account=6, per_source=0, clock=watch)
    for number in range(6):
        wrong(counted, "alice", f"192.0.2.{number}")
    assert waits(counted, "alice", "192.0.2.77") == 10
    watch.seconds += 9
    assert waits(counted, "alice", "192.0.2.77") == 1
    watch.seconds += 1
    wrong(counted, "alice", "192.0.2.77")
    assert waits(counted, "alice", "192.0.2.78") == 10
    # Others have nothing to do with it.
    wrong(counted, "bob", "192.0.2.77")
    watch.seconds += 60
    for _ in range(6):
        wrong(counted, "alice", "192.0.2.77")


def test_a_source_may_be_wrong_about_so_many_accounts(watch: Watch) -> None:
    counted = Attempts(per_account=0, per_source=3, clock=watch)
    for name in ("a", "b", "c"):
        wrong(counted, name, "192.0.2.1")
    assert waits(counted, "d", "192.0.2.1") == 20
    wrong(counted, "d", "192.0.2.2")


def test_whoever_is_refused_fills_nothing(watch: Watch) -> None:
    counted = Attempts(per_account=5, per_source=2, clock=watch)
    for _ in range(2):
        wrong(counted, "alice", "192.0.2.1")
    for _ in range(50):
        assert waits(counted, "alice", "192.0.2.1") == 30
    for _ in range(3):
        wrong(counted, "alice", f"192.0.2.{_ + 2}")


def test_right_passwords_are_not_counted(watch: Watch) -> None:
    counted = Attempts(per_account=2, per_source=2, clock=watch)
    for _ in range(100):
        right(counted, "alice", "192.0.2.1")
    wrong(counted, "alice", "192.0.2.1")
    right(counted, "alice", "192.0.2.1")
    wrong(counted, "alice", "192.0.2.1")
    waits(counted, "alice", "192.0.2.1")


def test_many_at_once_are_counted_before_they_are_answered(watch: Watch) -> None:
    counted = Attempts(per_account=2, per_source=0, clock=watch)
    with counted.attempt("alice", "192.0.2.1"), counted.attempt("alice", "192.0.2.2"):
        waits(counted, "alice", "192.0.2.3")
    right(counted, "alice", "192.0.2.3")


def test_something_else_that_goes_wrong_is_no_wrong_password(watch: Watch) -> None:
    counted = Attempts(per_account=1, per_source=1, clock=watch)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), counted.attempt("alice", "192.0.2.1"):
            raise ZeroDivisionError
    # Nor has anybody logged in.
    wrong(counted, "alice", "192.0.2.2")
    waits(counted, "alice", "192.0.2.1")


def test_strangers_lock_nobody_out(watch: Watch) -> None:
    counted = Attempts(per_account=3, per_source=3, clock=watch)
    right(counted, "alice", "192.0.2.1")
    for number in range(3):
        wrong(counted, "alice", f"203.0.113.{number}")
    waits(counted, "alice", "203.0.113.99")
    # Where she comes from she may still be wrong herself, for as often as anybody.
    right(counted, "alice", "192.0.2.1")
    for _ in range(3):
        wrong(counted, "alice", "192.0.2.1")
    waits(counted, "alice", "192.0.2.1")


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.1", "192.0.2.2", False),
        (None, "", True),
        ("testclient", "testclient", True),
    ],
)
def test_what_is_one_source(watch: Watch, one: str | None, other: str, same: bool) -> None:
    counted = Attempts(per_account=0, per_source=1, clock=watch)
    wrong(counted, "alice", one)
    if same:
        waits(counted, "alice", other)
    else:
        wrong(counted, "alice", other)


def test_memory_is_bounded(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_PLACES", 100)
    counted = Attempts(per_account=1, per_source=1, clock=watch)
    for number in range(1000):
        right(counted, f"user-{number}", f"10.0.{number // 250}.{number % 250}")
        wrong(counted, f"other-{number}", f"10.1.{number // 250}.{number % 250}")
    assert len(counted._buckets) <= 100
    assert len(counted._familiar) <= 100
    # What was wrong last is still known.
    waits(counted, "other-999", "10.9.9.9")


def test_nothing_is_counted_where_there_is_no_limit(watch: Watch) -> None:
    counted = Attempts(per_account=0, per_source=0, clock=watch)
    for _ in range(1000):
        wrong(counted, "alice", "192.0.2.1")
    assert not counted._buckets
