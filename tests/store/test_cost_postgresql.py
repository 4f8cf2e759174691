"""What a change costs in PostgreSQL, counted in the rows and index entries that it reads: no clock, so no noise.

The stories are those of test_cost, with 300 guests in the database and with some 6,000.  What the planner chooses depends on how much there
is, so it is told before, as autovacuum would.
"""

from collections import Counter

import pytest

from mooring.model.nouns import Resource
from mooring.store import Options, SqlStore
from mooring.store.transaction import SqlTransaction
from tests.store.postgres import Postgres
from tests.store.test_cost import FEW, MANY, WIDE, Story, fill
from tests.store.world import Town, World

# Of this connection since its last report to the statistics: rows that were read one after the other or by an index, and entries of indices that were looked at.
_READ = """
    SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
    UNION ALL SELECT indexrelname, pg_stat_get_xact_tuples_returned(indexrelid) FROM pg_stat_user_indexes
"""
Bill = dict[str, Counter[str]]


def tell(postgres: Postgres, guests: int) -> Bill:
    """Tell a story with so many guests there; return what each chapter read."""
    name = postgres.new()
    store = SqlStore(postgres.url(name), Options(durable=False))
    town = Town.build(World(store), WIDE)
    with store.write() as tx:
        for resource in Resource:
            tx.quotas.set(town.project.id, resource, -1)
    fill(town, store, guests)
    postgres.do(name, "VACUUM ANALYZE")
    bill: Bill = {}
    for chapter in Story(town).chapters():
        with store.write() as tx:
            before = _read(tx)
            chapter(tx)
            bill[chapter.__name__] = _read(tx) - before
    store.close()
    postgres.drop(name)
    return bill


def _read(tx: SqlTransaction) -> Counter[str]:
    rows = tx._session.connection.exec_driver_sql(_READ).all()
    return Counter({str(what): int(read) for what, read in rows})


@pytest.fixture(scope="module")
def bills(postgres: Postgres) -> dict[int, Bill]:
    return {guests: tell(postgres, guests) for guests in (FEW, MANY)}


def test_a_change_reads_the_same_however_much_there_is(bills: dict[int, Bill]) -> None:
    # A search for a free address looks through one block of 256, and through the counters of full ones.
    allowed = 700
    read = {
        (chapter, table): (bills[FEW][chapter][table], number)
        for chapter, bill in bills[MANY].items()
        for table, number in bill.items()
    }
    assert {what: (few, many) for what, (few, many) in read.items() if many > allowed} == {}
    assert len(read) > 60, "nothing was counted"
