"""The OpenStack dialect: Keystone v3, Nova v2.1 with nova-network's extensions, and enough of Glance to boot.

Add a resource: its bodies and handlers in a module here, its lines in `routes.py`, its wording of faults in `faults.py`.
"""

from mooring.dialects.openstack.app import create_app

__all__ = ["create_app"]
