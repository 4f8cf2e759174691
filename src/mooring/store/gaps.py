"""Which addresses are free, from the rows of those that are in use.

Addresses that are given out in turn stand side by side, so a search row by row for the first free one would read all that come before
it.  Therefore aligned blocks of 256 are counted as addresses come and go: full blocks are skipped as a whole.
"""

from sqlalchemy import Integer, bindparam, delete, exists, func, literal_column, select, update

from mooring.store.schema import BLOCK, address_blocks, addresses
from mooring.store.session import Session

_THIS = (address_blocks.c.scope == bindparam("of_scope"), address_blocks.c.block == bindparam("of_block"))
_DROP_LAST = delete(address_blocks).where(*_THIS, address_blocks.c.used == 1)
_DOWN = update(address_blocks).where(*_THIS).values(used=address_blocks.c.used - 1)

_IN_USE = select(addresses.c.seq).where(
    addresses.c.scope == bindparam("scope"),
    addresses.c.position == bindparam("position"),
)
_NEXT = addresses.alias("next")
_GAP = (
    select(addresses.c.position + 1)
    .where(
        addresses.c.scope == bindparam("scope"),
        addresses.c.position >= bindparam("first"),
        addresses.c.position < bindparam("last"),
        ~exists(
            select(_NEXT.c.seq).where(
                _NEXT.c.scope == addresses.c.scope,
                _NEXT.c.position == addresses.c.position + 1,
            ),
        ),
    )
    .order_by(addresses.c.position)
    .limit(1)
)
"""The first free address of a range whose first address is in use."""

# As literals, not parameters: a partial index is taken only where the statement itself says its condition.
_SIZE = literal_column(str(BLOCK), Integer)
_FULL = address_blocks.c.used == _SIZE
_IS_FULL = select(address_blocks.c.used).where(
    address_blocks.c.scope == bindparam("scope"),
    address_blocks.c.block == bindparam("block"),
    _FULL,
)
_NEXT_BLOCK = address_blocks.alias("next")
_ROOM = (
    select(address_blocks.c.block + 1)
    .where(
        address_blocks.c.scope == bindparam("scope"),
        address_blocks.c.block >= bindparam("first"),
        address_blocks.c.block < bindparam("last"),
        _FULL,
        ~exists(
            select(_NEXT_BLOCK.c.used).where(
                _NEXT_BLOCK.c.scope == address_blocks.c.scope,
                _NEXT_BLOCK.c.block == address_blocks.c.block + 1,
                _NEXT_BLOCK.c.used == _SIZE,
            ),
        ),
    )
    .order_by(address_blocks.c.block)
    .limit(1)
)
"""The first block with room in a range of blocks whose first is full."""

_COUNT = select(func.count()).where(
    addresses.c.scope == bindparam("scope"),
    addresses.c.position.between(bindparam("first"), bindparam("last")),
)
_COUNT_BLOCKS = select(func.coalesce(func.sum(address_blocks.c.used), 0)).where(
    address_blocks.c.scope == bindparam("scope"),
    address_blocks.c.block.between(bindparam("first"), bindparam("last")),
)


def count_up(session: Session, scope: str, position: int) -> None:
    """Count an address that has just been taken."""
    statement = session.flavour.insert(address_blocks)
    session.change(
        statement.on_conflict_do_update(
            index_elements=[address_blocks.c.scope, address_blocks.c.block],
            set_={"used": address_blocks.c.used + 1},
        ),
        scope=scope,
        block=position // BLOCK,
        used=1,
    )


def count_down(session: Session, scope: str, position: int) -> None:
    """Count an address that has just been given back."""
    block = position // BLOCK
    if not session.change(_DROP_LAST, of_scope=scope, of_block=block):
        session.change(_DOWN, of_scope=scope, of_block=block)


def first_gap(session: Session, scope: str, first: int, last: int) -> int | None:
    """Return the lowest free address of an inclusive range, or None."""
    block = first // BLOCK
    gap = _gap(session, scope, first, min(last, block * BLOCK + BLOCK - 1))
    if gap is not None or last // BLOCK == block:
        return gap
    room = _room(session, scope, block + 1, last // BLOCK)
    if room is None:
        return None
    # A block with room has a gap, but in the last block it may lie behind the end of the range.
    return _gap(session, scope, room * BLOCK, min(last, room * BLOCK + BLOCK - 1))


def _gap(session: Session, scope: str, first: int, last: int) -> int | None:
    if first > last:
        return None
    if session.row(_IN_USE, scope=scope, position=first) is None:
        return first
    row = session.row(_GAP, scope=scope, first=first, last=last)
    return row[0] if row else None


def _room(session: Session, scope: str, first: int, last: int) -> int | None:
    if session.row(_IS_FULL, scope=scope, block=first) is None:
        return first
    row = session.row(_ROOM, scope=scope, first=first, last=last)
    return row[0] if row else None


def count(session: Session, scope: str, first: int, last: int) -> int:
    """Count the addresses of an inclusive range that are in use: whole blocks by their counters, the rest by their rows."""
    inner, outer = -(-first // BLOCK), (last + 1) // BLOCK - 1
    if inner > outer:
        return _count_rows(session, scope, first, last)
    middle = session.row(_COUNT_BLOCKS, scope=scope, first=inner, last=outer)
    return (
        _count_rows(session, scope, first, inner * BLOCK - 1)
        + (int(middle[0]) if middle else 0)
        + _count_rows(session, scope, (outer + 1) * BLOCK, last)
    )


def _count_rows(session: Session, scope: str, first: int, last: int) -> int:
    if first > last:
        return 0
    row = session.row(_COUNT, scope=scope, first=first, last=last)
    return row[0] if row else 0
