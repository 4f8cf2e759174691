"""The table of faults is complete, and each of its rows is used."""

from collections.abc import Iterator

import pytest

from mooring.dialects.http import Refused
from mooring.dialects.openstack.faults import TABLE, Form, body_of, refusal
from mooring.dialects.openstack.routes import ROUTES
from mooring.model import faults
from mooring.model.faults import Fault

EXAMPLES: tuple[Fault, ...] = (
    faults.Unauthenticated("no"),
    faults.Forbidden("no"),
    faults.NotFound("Boat", "b1"),
    faults.Invalid("mast", "is too short"),
    faults.Conflict("two masts"),
    faults.InUse("Boat", "b1", "a captain"),
    faults.Changed("Boat", "b1"),
    faults.NotAssociated("not moored"),
    faults.NotReady("not built"),
    faults.QuotaExceeded("boats", 3),
    faults.TooManyAttempts(7),
    faults.Exhausted("no berth"),
    faults.Unavailable("fog", retry_after=7),
)


def _family(root: type[Fault]) -> Iterator[type[Fault]]:
    for child in root.__subclasses__():
        yield child
        yield from _family(child)


def test_every_fault_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(_family(Fault))


@pytest.mark.parametrize("fault", EXAMPLES, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("route", sorted({route.name for route in ROUTES}))
def test_every_fault_is_told_on_every_route(fault: Fault, route: str) -> None:
    words = {"address": "198.51.100.1", "server": "s1", "host": "h1", "fixed": "10.0.0.1", "network": "n1"}
    refused = refusal(fault, route, words)
    assert 400 <= refused.status < 500 or isinstance(fault, faults.Unavailable)
    assert "{" not in refused.reason
    for form in Form:
        ((_, inside),) = body_of(form, refused).items()
        assert isinstance(inside, dict)
        assert inside["code"] == refused.status
        assert inside["message"] == refused.reason


def test_every_fault_has_a_general_row_of_its_own() -> None:
    general = [row.fault for row in TABLE if row.route is None]
    assert set(general) == set(_family(Fault))
    assert len(general) == len(set(general))


def test_no_row_stands_behind_one_that_covers_it() -> None:
    for place, row in enumerate(TABLE):
        for earlier in TABLE[:place]:
            covers = issubclass(row.fault, earlier.fault) and all(
                getattr(earlier, part) in (None, getattr(row, part)) for part in ("route", "noun", "field")
            )
            assert not covers, f"{row} can never be used because of {earlier}"


def test_rows_name_routes_that_exist() -> None:
    names = {route.name for route in ROUTES}
    assert {row.route for row in TABLE if row.route} <= names


def test_a_fault_that_is_not_in_the_table_is_a_mistake() -> None:
    with pytest.raises(LookupError, match="Fault is not in the table"):
        refusal(Fault("of no kind"), "server", {})


def test_detail_stays_inside() -> None:
    fault = faults.Forbidden("Your roles do not allow this.", detail="alice lacks pool:admin")
    assert "alice" not in str(body_of(Form.NOVA, refusal(fault, "server", {})))


def test_unavailable_says_when_to_come_back() -> None:
    refused = refusal(faults.Unavailable("fog", retry_after=7), "servers", {})
    assert refused.headers == {"Retry-After": "7"}
    assert body_of(Form.NOVA, refused) == {
        "serviceUnavailable": {"code": 503, "message": "fog", "retryAfter": "7"},
    }


def test_codes_without_a_name_are_computefaults() -> None:
    assert list(body_of(Form.NOVA, Refused(418, "tea"))) == ["computeFault"]


def test_words_of_strangers_are_not_templates() -> None:
    refused = refusal(faults.NotFound("Boat", "{reason.__class__}"), "floating-ip", {"x": "{y}"})
    assert refused.reason == "Floating IP not found for ID {reason.__class__}."
