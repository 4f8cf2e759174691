"""XML for the compute API: the same views and bodies as in JSON, in the shapes that nova had from Essex to Juno.

Handlers know nothing of it.  `documents.py` is the one table that says how each view and body looks, `shapes.py` what a shape can be, in
both directions; `parsing.py` reads what strangers send, and `negotiation.py` says who gets XML.
"""

from mooring.dialects.openstack.xml.documents import body_of_xml, fault_as_xml, view_as_xml
from mooring.dialects.openstack.xml.negotiation import XML_TYPES, answer_type

__all__ = ["XML_TYPES", "answer_type", "body_of_xml", "fault_as_xml", "view_as_xml"]
