"""Nova's os-availability-zone: there is one."""

from mooring.dialects.openstack.calls import Answer, Call

ZONE = "nova"


def list_zones(_call: Call) -> Answer:
    """GET /os-availability-zone."""
    zone = {"zoneName": ZONE, "zoneState": {"available": True}, "hosts": None}
    return Answer(body={"availabilityZoneInfo": [zone]})
