"""The Neutron v2.0 dialect: networks, subnets, ports, routers, floating IPs, security groups and quotas of the same operations.

It is a service beside the OpenStack dialect's own, whose edge, log-in and catalogue it shares.  Add a resource: its views and handlers in
a module here, its lines in `routes.py`, its wording of faults in `faults.py`; and if it belongs to an extension, a line in `extensions.py`.
"""

from mooring.dialects.neutron.routes import ROUTES
from mooring.dialects.neutron.service import SERVICE

__all__ = ["ROUTES", "SERVICE"]
