"""Nova's server actions that stop, start and reboot a guest."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator

from mooring.dialects.openstack.bodies import Body, checked
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.ids import InstanceId


class Nothing(Body):
    """The inside of an action about which nothing is to be said."""


class Reboot(Body):
    """The inside of reboot."""

    type: Annotated[
        Literal["SOFT", "HARD"], BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
    ]


def reboot(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action reboot.  A guest here has nothing on disks that it would have to save first, so both types end it and start it anew."""
    hard = checked(Reboot, inside).type == "HARD"
    call.operations.power.reboot(call.caller, _instance(call), hard=hard, idempotency_key=call.idempotency_key)
    return Answer(202)


def start(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action os-start."""
    checked(Nothing, inside)
    call.operations.power.start(call.caller, _instance(call))
    return Answer(202)


def stop(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action os-stop."""
    checked(Nothing, inside)
    call.operations.power.stop(call.caller, _instance(call))
    return Answer(202)


def _instance(call: Call) -> InstanceId:
    return InstanceId(call.params["server"])
