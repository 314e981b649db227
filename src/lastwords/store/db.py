"""The SQLite database: opening, migrating, one writer at a time.

Write-ahead logging with `synchronous=FULL`: a committed transaction survives `kill -9` and the
loss of power. Readers never wait for the writer. Writers take the lock of this process first, so
that they queue here in order instead of polling SQLite's own lock, and then `BEGIN IMMEDIATE`, so
that no transaction fails half way because it began as a reader.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DatabaseError

from lastwords.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["Database"]

_BUSY_TIMEOUT_S = 15
_IS_WRITER = "lastwords_is_writer"


class Database:
    """The index of everything stored.

    Args:
        path: The database file; created with its tables when absent.

    Raises:
        StoreError: `store_not_usable` (cannot be opened or is no database) or
            `store_newer_schema` (written by a newer lastwords).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_lock = threading.Lock()
        self._engine = _engine(path)
        self._writer = self._engine.execution_options(**{_IS_WRITER: True})
        try:
            self._migrate()
        except DatabaseError as error:
            self.close()
            raise StoreError(
                "store_not_usable",
                f"the database {path} cannot be used: {error.orig}",
                "give another folder with --data, or restore this file from a backup",
            ) from error
        except StoreError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state; be brief, it holds back the log."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed and durable when the block ends.

        An exception in the block rolls everything back. Nothing slow belongs inside: all other
        writers wait.
        """
        with self._write_lock, self._writer.begin() as connection:
            yield connection

    def revision(self) -> str | None:
        """Return the schema's revision; `None` for a database without tables."""
        with self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def close(self) -> None:
        """Close all connections; the last one folds the log into the database file."""
        self._engine.dispose()

    def _migrate(self) -> None:
        config = _alembic_config()
        script = ScriptDirectory.from_config(config)
        revision = self.revision()
        if revision == script.get_current_head():
            return
        known = {one.revision for one in script.walk_revisions()}
        if revision is not None and revision not in known:
            raise StoreError(
                "store_newer_schema",
                f"the database {self.path} has schema {revision}, this lastwords knows up to "
                f"{script.get_current_head()}",
                "upgrade lastwords, or give another folder with --data",
            )
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        pool_size=8,
        max_overflow=16,
        hide_parameters=True,  # what clients sent does not belong into messages and logs
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, _record: object) -> None:
    # pysqlite's own BEGIN comes late and is always deferred; `_on_begin` says it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "trusted_schema=OFF",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _on_begin(connection: Connection) -> None:
    is_writer = connection.get_execution_options().get(_IS_WRITER, False)
    connection.execute(text("BEGIN IMMEDIATE" if is_writer else "BEGIN"))


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", "lastwords.store:migrations")
    return config
