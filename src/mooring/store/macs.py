"""MAC addresses in use, whatever has them: on one bridge a NIC and a router's port must differ too."""

from sqlalchemy import bindparam, delete

from mooring.store.schema import macs
from mooring.store.session import Session

_DROP = delete(macs).where(macs.c.mac == bindparam("mac"))


def claim(session: Session, mac: str) -> None:
    """Take an address for a row that is about to be added.

    Raises:
        Duplicate: something has it.
    """
    session.add(macs, mac=mac)


def drop(session: Session, mac: str) -> None:
    """Give an address back, once the row that had it is gone."""
    session.change(_DROP, mac=mac)
