"""What every resource has: how often it changed, when, and its tags; and changes of what has a certain revision only."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from mooring.dialects.http import Refused, shown
from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View
from mooring.dialects.openstack.calls import Call
from mooring.model.accounts import Caller
from mooring.model.faults import Changed
from mooring.model.marks import Marks

_CONDITION = re.compile(r"revision_number=([0-9]{1,18})")


def marked(marks: Marks) -> View:
    """Return what every resource shows, but for its tags."""
    return {
        "revision_number": marks.revision,
        "created_at": _moment(marks.created),
        "updated_at": _moment(marks.updated),
    }


def tagged(marks: Marks) -> View:
    """Return what every resource shows that can be tagged."""
    return {"tags": list(marks.tags), **marked(marks)}


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expecting(call: Call) -> Caller:
    """Return who calls, and at which revision they mean to change a thing: `If-Match: revision_number=3`.

    Raises:
        Refused: the condition says something else.
    """
    condition = call.headers.get("if-match")
    if condition is None:
        return call.caller
    said = _CONDITION.fullmatch(condition.replace(" ", ""))
    if said is None:
        raise NeutronRefused(
            400, "BadRequest", f"Invalid input for If-Match: {shown(condition)} is not like revision_number=3."
        )
    return replace(call.caller, revision=int(said[1]))


def check_revision(call: Call, noun: str, marks: Marks) -> None:
    """Refuse a change that changes nothing if it is meant for another revision, as one that does is refused.

    Raises:
        Changed: it is.
    """
    wanted = expecting(call).revision
    if wanted not in (None, marks.revision):
        raise Changed(noun, next(iter(call.params.values())))


def unconditional(call: Call) -> None:
    """Refuse a condition at which a route could not look: whoever says one must not find it passed over.

    Raises:
        Refused: there is one.
    """
    if "if-match" in call.headers:
        raise Refused(412, "If-Match: there is no revision_number to compare here.")
