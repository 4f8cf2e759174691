"""The schema's versions: from nothing and back, by several at once, and never against a newer one."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from mooring.model.accounts import Key, Project, Role, User
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.records import KeyCredentials, TokenRow
from mooring.store import Options, SchemaFault, SqlStore, migrate
from mooring.store.schema import metadata
from tests.store.postgres import Postgres
from tests.store.world import START, Town, World

QUICK = Options(durable=False)

PARTS = """
SELECT t.relname, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid AND t.relkind = 'r'
WHERE t.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT t.relname, c.conname || ' ' || pg_get_constraintdef(c.oid)
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid WHERE t.relnamespace = 'public'::regnamespace
UNION ALL SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""

Layout = dict[str, frozenset[str]]
"""Each table and index as the set of its parts: their order is of no meaning."""


@dataclass
class File:
    """A database of SQLite."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def beside(self) -> "File":
        return File(self.path.with_name("beside.db"))

    def do(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)

    def content(self) -> object:
        return self.path.read_bytes()

    def layout(self) -> Layout:
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        parts = {
            name: re.split(r", (?=[a-z_]+ [A-Z]|CONSTRAINT)|\(|\) ", re.sub(r"\s+", " ", sql)) for name, sql in rows
        }
        return {
            name: frozenset(part.strip(" )") for part in made if part.strip(" )"))
            for name, made in parts.items()
            if "alembic" not in name
        }


@dataclass
class Served:
    """A database of PostgreSQL."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def beside(self) -> "Served":
        return Served(self.server, self.server.new())

    def do(self, statement: str) -> None:
        self.server.do(self.name, statement)

    def content(self) -> object:
        return self.layout(), self.server.ask(self.name, "SELECT * FROM alembic_version")

    def layout(self) -> Layout:
        rows = self.server.ask(self.name, PARTS)
        found: dict[str, set[str]] = {}
        for table, part in rows:
            found.setdefault(str(table), set()).add(str(part))
        return {name: frozenset(parts) for name, parts in found.items() if name != "alembic_version"}


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[File | Served]:
    """Return where nothing is yet."""
    if request.param == "sqlite":
        yield File(tmp_path / "mooring.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    made = Served(server, server.new())
    yield made
    server.drop(made.name)


def open_and_close(place: File | Served) -> None:
    SqlStore(place.url, QUICK).close()


def test_the_migrations_make_the_schema_that_the_code_speaks_of(place):
    open_and_close(place)
    other = place.beside()
    direct = create_engine(other.url)
    metadata.create_all(direct)
    direct.dispose()
    assert place.layout() == other.layout()
    assert len(place.layout()) >= len(metadata.tables)


def test_the_newest_version_is_the_one_that_the_code_names():
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.LATEST]


def test_there_and_back_with_data_in_place_and_there_again(place):
    store = SqlStore(place.url, QUICK)
    Town.build(World(store))
    with store._writer.connect() as connection, connection.begin():
        migrate.downgrade(connection, "base")
    store.close()
    assert place.layout() == {}
    again = SqlStore(place.url, QUICK)
    Town.build(World(again))
    again.close()


def test_what_the_first_version_knew_of_people_is_kept(place):
    store = SqlStore(place.url, QUICK)
    with store._writer.connect() as connection, connection.begin():
        migrate.downgrade(connection, "0001")
    store.close()
    for statement in (
        "INSERT INTO projects (id, name) VALUES ('p', 'boats')",
        "INSERT INTO users (id, name, password_hash, enabled) VALUES ('u', 'alice', 'hash', true)",
        "INSERT INTO grants VALUES ('u', 'p', 'member')",
        "INSERT INTO tokens VALUES ('digest', 'u', 'p', '2026-11-20 12:00:00+00:00', '2026-11-20 12:00:00+00:00')",
    ):
        place.do(statement)
    with closing(SqlStore(place.url, QUICK)) as store, store.write() as tx:
        token = tx.identities.token("digest")
        assert token is not None
        assert (token.user, token.project) == (User(UserId("u"), "alice"), Project(ProjectId("p"), "boats"))
        assert token.roles == {Role.MEMBER}
        key = Key(KeyId("k"), "ci", UserId("u"), ProjectId("p"), frozenset({Role.READER}), token.issued_at)
        tx.identities.add_key(KeyCredentials(key, "hash"))
        tx.identities.add_token("of the key", replace(token, key=key))
        tx.identities.save_user(replace(token.user, description="a captain", email="alice@example.org"))


def test_an_older_version_knows_no_log_in_of_a_key(place):
    store = SqlStore(place.url, QUICK)
    world = World(store)
    with store.write() as tx:
        user, project = world.user(tx), world.project(tx)
        key = Key(KeyId("k"), "ci", user.id, project.id, frozenset({Role.READER}), START)
        tx.identities.add_key(KeyCredentials(key, "hash"))
        tx.identities.grant(user.id, project.id, Role.MEMBER)
        row = TokenRow(user, project, frozenset(), START, START)
        tx.identities.add_token("password", row)
        tx.identities.add_token("key", replace(row, key=key))
    with store._writer.connect() as connection, connection.begin():
        migrate.downgrade(connection, "0001")
    store.close()
    with closing(SqlStore(place.url, QUICK)) as store, store.read() as tx:
        known = tx.identities.token("password")
        assert known is not None
        assert known.roles == {Role.MEMBER}
        assert tx.identities.token("key") is None
        assert tx.identities.keys() == []


def test_opening_again_changes_nothing(place):
    store = SqlStore(place.url, QUICK)
    town = Town.build(World(store))
    store.close()
    again = SqlStore(place.url, QUICK)
    with again.read() as tx:
        assert tx.instances.get(town.instance) is not None
    again.close()


def test_a_newer_database_is_refused_with_what_to_do(place):
    open_and_close(place)
    place.do("UPDATE alembic_version SET version_num = '9999'")
    before = place.content()
    with pytest.raises(SchemaFault, match=r"newer mooring.*9999.*Start the newer mooring, or restore a backup"):
        open_and_close(place)
    assert place.content() == before


def test_somebody_elses_database_is_refused(place):
    place.do("CREATE TABLE diary (day text, words text)")
    with pytest.raises(SchemaFault, match=r"no database of mooring.*diary"):
        open_and_close(place)


def test_a_migration_that_fails_leaves_nothing(place, monkeypatch):
    upgrade = migrate.upgrade

    def failing(connection) -> None:
        upgrade(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "upgrade", failing)
    with pytest.raises(ZeroDivisionError):
        open_and_close(place)
    assert place.layout() == {}
    monkeypatch.undo()
    open_and_close(place)
    assert "addresses" in place.layout()


def test_several_processes_that_start_together_make_one_schema(place):
    code = f"from mooring.store import SqlStore; SqlStore({place.url!r}).close(); print('open')"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate(timeout=60) for process in started] == [("open\n", "")] * 4
    assert "addresses" in place.layout()


def test_an_up_to_date_database_is_opened_without_alembic_and_without_the_other_ones_driver(place):
    """Alembic takes as long to import as all the rest of the store."""
    open_and_close(place)
    unwanted = ("alembic", "psycopg") if isinstance(place, File) else ("alembic",)
    code = (
        f"import sys; from mooring.store import SqlStore; SqlStore({place.url!r}).close(); "
        f"print([name for name in sys.modules if name.startswith({unwanted!r})])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
