"""DNS: the names of floating IPs, answered with authority to whoever asks; RFC 1034, 1035, 2308 and 7766, over dnspython's messages."""

from mooring.dialects.dns.answers import Authority, answer
from mooring.dialects.dns.server import Server

__all__ = ["Authority", "Server", "answer"]
