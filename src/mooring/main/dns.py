"""The DNS server of an installation, where the configuration has one."""

from contextlib import ExitStack

import structlog

from mooring.config import Settings
from mooring.dialects import dns
from mooring.operations import Operations

_log = structlog.get_logger(__name__)


def serve_names(settings: Settings, operations: Operations, stack: ExitStack) -> dns.Server | None:
    """Answer for the names of floating IPs until the stack is closed, if there is a section [dns].

    Raises:
        OSError: the address can't be had.
    """
    if settings.dns is None:
        return None
    wanted = settings.dns
    server = dns.Server(wanted.listen, wanted.port, dns.Authority(wanted.name, wanted.inside), operations.names.ask)
    server.start()
    stack.callback(server.stop)
    _log.info("the DNS answers", address=server.host, port=server.port)
    return server
