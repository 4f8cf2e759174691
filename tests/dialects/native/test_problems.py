"""The table of faults is complete, and problems are told as RFC 9457 asks."""

import json
from collections.abc import Iterator

import pytest

from mooring.dialects.native import problems
from mooring.dialects.native.problems import TABLE, FieldFault
from mooring.model import faults
from mooring.model.faults import Fault

EXAMPLES: tuple[Fault, ...] = (
    faults.Unauthenticated("no"),
    faults.Forbidden("no", detail="not for strangers"),
    faults.NotFound("Boat", "b1"),
    faults.Invalid("mast", "is too short"),
    faults.Conflict("two masts", field="masts"),
    faults.InUse("Boat", "b1", "a captain"),
    faults.Changed("Boat", "b1"),
    faults.NotAssociated("not moored"),
    faults.NotReady("not built"),
    faults.QuotaExceeded("boats", 3),
    faults.TooManyAttempts(7),
    faults.Exhausted("no berth"),
    faults.Unavailable("fog", retry_after=7, detail="not for strangers"),
)


def _family(root: type[Fault]) -> Iterator[type[Fault]]:
    for child in root.__subclasses__():
        if child.__module__ == faults.__name__:
            yield child
            yield from _family(child)


def test_every_fault_has_a_row_of_its_own_and_an_example() -> None:
    assert set(TABLE) == set(_family(Fault)) == {type(example) for example in EXAMPLES}
    assert len({kind.name for kind in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize("fault", EXAMPLES, ids=lambda fault: type(fault).__name__)
def test_a_fault_is_told_as_a_problem(fault: Fault) -> None:
    answer = problems.of_fault(fault, "req-1")
    told = json.loads(bytes(answer.body))
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["type"].startswith("urn:mooring:")
    assert told["detail"] == fault.reason
    assert told["request_id"] == "req-1"
    assert told["status"] == answer.status_code
    assert told.get("field") == fault.field
    assert 400 <= answer.status_code < 500 or isinstance(fault, faults.Unavailable)
    assert b"strangers" not in answer.body


def test_what_is_away_says_when_to_come_back() -> None:
    for away in (faults.Unavailable("fog", retry_after=7), faults.TooManyAttempts(7)):
        assert problems.of_fault(away, "r").headers["retry-after"] == "7"
    assert "bearer" in problems.of_fault(faults.Unauthenticated("no"), "r").headers["www-authenticate"].lower()


def test_a_fault_of_a_class_below_is_told_as_its_nearest() -> None:
    class Leaky(faults.Conflict):
        pass

    assert problems.kind_of(Leaky("hole")) is TABLE[faults.Conflict]
    with pytest.raises(LookupError):
        problems.kind_of(Fault("of no kind"))


def test_all_fields_at_fault_are_told_at_once() -> None:
    answer = problems.of_fields([FieldFault(field="a", reason="x"), FieldFault(field="b", reason="y")], "r")
    told = json.loads(bytes(answer.body))
    assert told["detail"] == "a: x"
    assert told["field"] == "a"
    assert [each["field"] for each in told["errors"]] == ["a", "b"]
