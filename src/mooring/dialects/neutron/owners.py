"""Whose a new thing shall be: nobody makes things for others."""

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.openstack.calls import Call


def check_owner(call: Call, *named: str | None) -> None:
    """Refuse a thing for another project than the token's.

    Raises:
        Refused: `tenant_id` or `project_id` of the body, where it is there, names another one.
    """
    if any(project not in (None, call.caller.project.id) for project in named):
        reason = "tenant_id and project_id may name no other project than the token's."
        raise NeutronRefused(403, "PolicyNotAuthorized", reason)
