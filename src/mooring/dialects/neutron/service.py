"""Everything of the dialect, as the catalogue names it."""

from mooring.dialects.neutron.faults import body_of, refusal
from mooring.dialects.neutron.routes import ROUTES
from mooring.dialects.openstack.services import Service

SERVICE = Service("network", "neutron", "network", ROUTES, refusal, body_of)
