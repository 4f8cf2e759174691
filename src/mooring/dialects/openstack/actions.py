"""Nova's server actions: one path, and the name of what to do in the body."""

from collections.abc import Callable, Mapping

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack import fixed_ips, floating_ips, power, security_groups
from mooring.dialects.openstack.calls import Answer, Call

ACTIONS: Mapping[str, Callable[[Call, Mapping[str, object]], Answer]] = {
    "addFixedIp": fixed_ips.add,
    "removeFixedIp": fixed_ips.remove,
    "addFloatingIp": floating_ips.associate,
    "removeFloatingIp": floating_ips.disassociate,
    "addSecurityGroup": security_groups.add,
    "removeSecurityGroup": security_groups.remove,
    "reboot": power.reboot,
    "os-start": power.start,
    "os-stop": power.stop,
}
_WITHOUT_INSIDE = frozenset({"os-start", "os-stop"})


def act(call: Call) -> Answer:
    """POST /servers/{server}/action."""
    body = call.json()
    if not isinstance(body, dict) or len(body) != 1:
        raise Refused(400, "Malformed request body: an action is an object with one key, its name.")
    ((name, inside),) = body.items()
    action = ACTIONS.get(name)
    if action is None:
        raise Refused(400, f"There is no such action: {shown(name)}")
    if inside is None and name in _WITHOUT_INSIDE:
        inside = {}
    if not isinstance(inside, dict):
        raise Refused(400, f"Invalid input for field {name}: must be an object.")
    return action(call, inside)
