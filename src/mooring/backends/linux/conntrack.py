"""Flows that the kernel knows, and how those of an address end.

The kernel filters: what an address has to do with is found there, not here.  Kernels before 6.8 refuse a filtered delete with EINVAL;
then the filter dumps, and what it finds is deleted one by one.
"""

import asyncio
import errno
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from mooring.backends.linux import pyroute
from mooring.backends.linux.effects import Cut
from mooring.backends.linux.netns import Inside

# linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_GET, _DELETE = 1, 2

_ONE_BY_ONE = 32
"""Up to so many cuts the kernel looks for each; for more, all flows are read once and looked at here."""

_FLOWS_A_LOOK = 100
"""For each look the kernel walks through its whole table, 10 ms for its usual 262,144 buckets: as long as reading 100 flows takes here."""

_ATTEMPTS = 3


class Conntrack:
    """The flows of one namespace."""

    def __init__(self, inside: Inside) -> None:
        # A thread of its own: to look at all flows takes long, and changes of elements must not wait for it.
        self._inside = inside = Inside(inside.name, inside.comm)
        self._filters_delete = True
        self._loop = inside.run(asyncio.new_event_loop)
        self._socket: Any = inside.run(lambda: pyroute.conntrack(inside))

    def close(self) -> None:
        def close() -> None:
            self._socket.close()
            self._loop.run_until_complete(asyncio.sleep(0))  # the loop closes its transport in its next turn
            self._loop.close()

        self._inside.run(close)
        self._inside.close()

    def end(self, cuts: Iterable[Cut]) -> None:
        """End flows: at once, but for packets that are on their way through the kernel at this moment."""
        wanted = list(cuts)
        if wanted:
            self._inside.run(lambda: self._end(wanted))

    def make_sure(self, cuts: Iterable[Cut]) -> int:
        """End flows, look, and repeat until none is left; return for how many cuts there still is one.

        Other changes don't wait for all of it: after each look it is their turn.
        """
        wanted: list[Cut] = list(cuts)
        for _ in range(_ATTEMPTS):
            if not wanted:
                break
            if self._inside.run(partial(self._is_quicker_to_read_all, len(wanted))):
                wanted = self._inside.run(partial(self._end_many, wanted))
            else:
                wanted = [cut for cut in wanted if self._inside.run(partial(self._end_found, cut))]
        return len(wanted)

    def _end(self, cuts: list[Cut]) -> None:
        if len(cuts) > _ONE_BY_ONE:
            self._end_many(cuts)
        else:
            for cut in cuts:
                self._delete(cut)

    def _is_quicker_to_read_all(self, cuts: int) -> bool:
        flows = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text(encoding="ascii"))
        return cuts > _ONE_BY_ONE or flows < _FLOWS_A_LOOK * cuts

    def _end_found(self, cut: Cut) -> bool:
        found = self._find(cut)
        for flow in found:
            self._delete_flow(flow)
        return bool(found)

    def _delete(self, cut: Cut) -> None:
        # The kernel filters by one port, not by a range.
        if self._filters_delete and (cut.ports is None or cut.ports.first == cut.ports.last):
            try:
                self._ask(_message(cut), _DELETE, _REQUEST | _ACK)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._filters_delete = False
            else:
                return
        for flow in self._find(cut):
            self._delete_flow(flow)

    def _find(self, cut: Cut) -> list[Any]:
        # Kernels compare only one direction of a filter in some versions, so the other is compared here.
        return [flow for flow in self._ask(_message(cut), _GET, _REQUEST | _DUMP) if _matches(flow, cut)]

    def _end_many(self, cuts: list[Cut]) -> list[Cut]:
        """Read all flows once, end those of any cut, and return the cuts that had some."""
        found: list[Cut] = []
        wanted = {cut for cut in cuts if cut.ports is None}
        of_ports: defaultdict[Cut, list[Cut]] = defaultdict(list)
        for cut in cuts:
            if cut.ports is not None:
                of_ports[replace(cut, protocol=None, ports=None)].append(cut)
        for flow in self._ask(pyroute.flow_message(), _GET, _REQUEST | _DUMP):
            possible = _possible(flow)
            hit = [cut for cut in possible if cut in wanted]
            hit += [cut for any_port in possible for cut in of_ports.get(any_port, ()) if _began_so(flow, cut)]
            if hit:
                self._delete_flow(flow)
                found += hit
        return found

    def _delete_flow(self, flow: Any) -> None:
        message = pyroute.flow_message()
        message["attrs"] = [("CTA_TUPLE_ORIG", flow.get_attr("CTA_TUPLE_ORIG")), ("CTA_ID", flow.get_attr("CTA_ID"))]
        try:
            self._ask(message, _DELETE, _REQUEST | _ACK)
        except FileNotFoundError:
            return

    def _ask(self, message: Any, kind: int, flags: int) -> list[Any]:
        return pyroute.ask_conntrack(self._loop, self._socket, message, kind, flags)


def _message(cut: Cut) -> Any:
    attributes: list[tuple[str, Any]] = []
    flags: list[tuple[str, int]] = []
    is_one = cut.ports is not None and cut.ports.first == cut.ports.last
    began = (cut.protocol, cut.ports.first) if cut.ports is not None and is_one else ()
    for name, source, target, port in (
        ("ORIG", cut.original_source, cut.original_target, began),
        ("REPLY", cut.reply_source, cut.reply_target, ()),
    ):
        if source is not None or target is not None:
            wanted, which = pyroute.flow_filter(source, target, *port)
            attributes.append((f"CTA_TUPLE_{name}", wanted))
            flags.append((f"CTA_FILTER_{name}_FLAGS", which))
    message = pyroute.flow_message()
    message["attrs"] = [*attributes, ("CTA_FILTER", {"attrs": flags})]
    return message


def _addresses(flow: Any) -> tuple[str, str, str, str]:
    def pair(name: str) -> tuple[str, str]:
        addresses = flow.get_attr(name).get_attr("CTA_TUPLE_IP")
        return str(addresses.get_attr("CTA_IP_V4_SRC")), str(addresses.get_attr("CTA_IP_V4_DST"))

    return (*pair("CTA_TUPLE_ORIG"), *pair("CTA_TUPLE_REPLY"))


def _matches(flow: Any, cut: Cut) -> bool:
    wanted = (cut.original_source, cut.original_target, cut.reply_source, cut.reply_target)
    fitting = all(want is None or str(want) == have for want, have in zip(wanted, _addresses(flow), strict=True))
    return fitting and (cut.ports is None or _began_so(flow, cut))


def _began_so(flow: Any, cut: Cut) -> bool:
    """Say whether a flow's first packet was of a cut's protocol, and for one of its ports."""
    proto = flow.get_attr("CTA_TUPLE_ORIG").get_attr("CTA_TUPLE_PROTO")
    port = proto.get_attr("CTA_PROTO_DST_PORT")
    if cut.ports is None or port is None or proto.get_attr("CTA_PROTO_NUM") != cut.protocol:
        return False
    return cut.ports.first <= int(port) <= cut.ports.last


def _possible(flow: Any) -> tuple[Cut, ...]:
    """Return every kind of cut, as `effects` makes them, that would end this flow."""
    original_source, original_target, reply_source, reply_target = map(IPv4Address, _addresses(flow))
    return (
        Cut(original_target=original_target, reply_source=reply_source),
        Cut(original_source=original_source, reply_target=reply_target),
        Cut(original_source=original_source),
        Cut(reply_source=reply_source),
    )
