"""The schema's versions: from nothing and back, by several at once, and never against a newer one."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from mooring.store import Options, SchemaFault, SqlStore, migrate
from mooring.store.schema import metadata
from tests.store.world import Town, World

QUICK = Options(durable=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mooring.db"


def open_and_close(path: Path) -> None:
    SqlStore(f"sqlite:///{path}", QUICK).close()


def layout(path: Path) -> dict[str, frozenset[str]]:
    """Return each table and index as the set of its parts: their order is of no meaning."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    parts = {name: re.split(r", (?=[a-z_]+ [A-Z]|CONSTRAINT)|\(|\) ", re.sub(r"\s+", " ", sql)) for name, sql in rows}
    return {
        name: frozenset(part.strip(" )") for part in made if part.strip(" )"))
        for name, made in parts.items()
        if "alembic" not in name
    }


def test_the_migrations_make_the_schema_that_the_code_speaks_of(path, tmp_path):
    open_and_close(path)
    direct = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(direct)
    direct.dispose()
    assert layout(path) == layout(tmp_path / "direct.db")


def test_the_newest_version_is_the_one_that_the_code_names():
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.LATEST]


def test_there_and_back_and_there_again(path):
    store = SqlStore(f"sqlite:///{path}", QUICK)
    Town.build(World(store))
    with store._writer.connect() as connection, connection.begin():
        migrate.downgrade(connection, "base")
    store.close()
    assert layout(path) == {}
    again = SqlStore(f"sqlite:///{path}", QUICK)
    Town.build(World(again))
    again.close()


def test_opening_again_changes_nothing(path):
    store = SqlStore(f"sqlite:///{path}", QUICK)
    town = Town.build(World(store))
    store.close()
    again = SqlStore(f"sqlite:///{path}", QUICK)
    with again.read() as tx:
        assert tx.instances.get(town.instance) is not None
    again.close()


def test_a_newer_database_is_refused_with_what_to_do(path):
    open_and_close(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaFault, match=r"newer mooring.*9999.*Start the newer mooring, or restore a backup"):
        open_and_close(path)
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE diary (day, text)")
    connection.close()
    with pytest.raises(SchemaFault, match=r"no database of mooring.*diary"):
        open_and_close(path)


def test_a_migration_that_fails_leaves_nothing(path, monkeypatch):
    upgrade = migrate.upgrade

    def failing(connection) -> None:
        upgrade(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "upgrade", failing)
    with pytest.raises(ZeroDivisionError):
        open_and_close(path)
    assert layout(path) == {}
    monkeypatch.undo()
    open_and_close(path)
    assert "addresses" in layout(path)


def test_several_processes_that_start_together_make_one_schema(path):
    code = f"from mooring.store import SqlStore; SqlStore('sqlite:///{path}').close(); print('open')"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate(timeout=60) for process in started] == [("open\n", "")] * 4
    assert "addresses" in layout(path)


def test_an_up_to_date_database_is_opened_without_alembic(path):
    """It takes as long to import as all the rest of the store."""
    open_and_close(path)
    code = (
        f"import sys; from mooring.store import SqlStore; SqlStore('sqlite:///{path}').close(); "
        "print([name for name in sys.modules if name.startswith('alembic')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
