# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
"""pyroute2, in the one module that imports it: the library has no types, so what it makes is `Any` here and a value of ours outside.

It opens a socket of its own for each thread that calls it, in whichever namespace that thread is, or forks to find one.  So it is given
a socket that is known to be in the right namespace, and called from one thread only: that which lives there.
"""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket, NFCTAttrTuple, nfct_msg

from mooring.backends.linux.netns import Inside, check_namespace

_NETLINK_NETFILTER = 12
_ERROR, _DUMP = 2, 0x300


def routing(inside: Inside) -> Any:
    """Return an IPRoute; to be called in the namespace's thread."""
    return IPRoute(fileno=_socket(inside, socket.NETLINK_ROUTE))


def conntrack(inside: Inside) -> Any:
    """Return an AsyncNFCTSocket; to be called in the namespace's thread, and used in event loops there."""
    return AsyncNFCTSocket(fileno=_socket(inside, _NETLINK_NETFILTER))


def ask_conntrack(loop: asyncio.AbstractEventLoop, channel: Any, message: Any, kind: int, flags: int) -> list[Any]:
    """Send a message and return the answers.

    Raises:
        OSError: with the number of what the kernel refused.
    """

    async def ask() -> list[Any]:
        ends = None if flags & _DUMP == _DUMP else _is_error
        answers = await channel.request(message, kind, msg_flags=flags, terminate=ends)
        return [answer async for answer in answers]

    with kernel_errors():
        return loop.run_until_complete(ask())


def flow_message() -> Any:
    """Return an empty message about flows."""
    return nfct_msg()


def flow_filter(
    source: IPv4Address | None, target: IPv4Address | None, protocol: int | None = None, port: int | None = None
) -> tuple[Any, int]:
    """Return the attributes of one direction of a flow, and the flags that say which of them count; `port` is the destination's."""
    wanted: Any = NFCTAttrTuple(saddr=source and str(source), daddr=target and str(target), proto=protocol, dport=port)
    attributes = {"attrs": wanted.attrs()}
    return attributes, int(wanted.flags)


@contextmanager
def kernel_errors() -> Generator[None]:
    """Turn pyroute2's errors into those of the standard library."""
    try:
        yield
    except NetlinkError as error:
        raise OSError(int(error.code), str(error.args[1])) from error


def _socket(inside: Inside, family: int) -> int:
    ours = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, family)
    check_namespace(ours.fileno(), inside.inode)
    return ours.detach()


def _is_error(message: Any) -> bool:
    return bool(message["header"]["type"] == _ERROR)
