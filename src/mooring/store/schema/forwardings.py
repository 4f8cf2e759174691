"""The table of port forwardings: which ports of floating IPs lead to which of fixed IPs."""

from sqlalchemy import CheckConstraint, Index, Named, Table, UniqueConstraint

from mooring.model.ids import AddressId, ForwardingId, ProjectId
from mooring.model.subjects import Transport
from mooring.store.schema.columns import Listed, metadata, one_of, own_id, some_text, to


class ForwardingColumns(Listed):
    """Ports of a floating IP, from `first` to `last`, that lead to as many of a fixed IP, the first to `goal`.

    That ranges of one address don't overlap is looked at while its row is locked; that no two begin alike, the database keeps by itself.
    """

    id: Named[ForwardingId] = own_id()
    project: Named[ProjectId] = to("projects.id")
    floating: Named[AddressId] = to("addresses.id")
    fixed: Named[AddressId] = to("addresses.id")
    protocol: Named[str] = some_text()
    first: Named[int]
    last: Named[int]
    goal: Named[int]
    description: Named[str] = some_text()


port_forwardings = Table(
    "port_forwardings",
    metadata,
    ForwardingColumns,
    UniqueConstraint("floating", "protocol", "first"),
    one_of("protocol", Transport),
    CheckConstraint("first >= 1 AND last >= first AND last <= 65535", name="ports"),
    CheckConstraint("goal >= 1 AND goal + last - first <= 65535", name="goal"),
    CheckConstraint("floating <> fixed", name="apart"),
    Index(None, "project"),
    Index(None, "fixed"),
)
