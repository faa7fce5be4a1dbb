"""From a URL to a connected engine whose transactions many processes can share."""

from __future__ import annotations

import json
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from triptych.errors import ConfigurationError
from triptych.loop.desk import schema

WRITES = "triptych_writes"
"""Execution option of a connection whose transaction is going to write."""

_BUSY_SECONDS = 60.0
"""How long a SQLite transaction waits for another process's. Writes take milliseconds; a queue of them may be long."""

_EXAMPLES = "sqlite:////absolute/path/desk.sqlite or postgresql+psycopg://user:password@host/database"


def connect(url: str) -> Engine:
    """Open the database, and make the desk's tables where they are missing.

    Args:
        url: SQLAlchemy URL of a SQLite file or a Postgres database.

    Returns:
        An engine. Its transactions only read, unless the connection carries the option `WRITES`.

    Raises:
        ConfigurationError: The URL names no database that the desk can use. The operator sees it.
        ConnectionError: The database does not answer. It may later, so this one may be tried again.
    """
    parsed = _parse(url)
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite_file(parsed, shown)
    try:
        engine = create_engine(parsed, json_serializer=partial(json.dumps, allow_nan=False))
    except (NoSuchModuleError, ModuleNotFoundError) as reason:
        raise ConfigurationError(
            f"the driver of {shown} is not installed ({reason}): for Postgres write postgresql+psycopg://... and "
            "pip install 'triptych[postgres]'"
        ) from reason
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.begin() as connection:
            complete = schema.is_complete(connection)
        if not complete:
            with engine.execution_options(**{WRITES: True}).begin() as connection:
                schema.create(connection)
    except OperationalError as reason:
        engine.dispose()
        if engine.dialect.name == "sqlite":
            raise ConfigurationError(f"the order desk {shown} cannot be opened: {reason.orig}") from reason
        raise ConnectionError(f"the order desk {shown} does not answer: {reason.orig}") from reason
    except DatabaseError as reason:
        engine.dispose()
        raise ConfigurationError(f"the order desk {shown} is not a database for it: {reason.orig}") from reason
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as reason:
        raise ConfigurationError(f"the order desk's URL cannot be read: write {_EXAMPLES}") from reason
    if parsed.get_backend_name() not in schema.DIALECTS:
        raise ConfigurationError(f"the order desk cannot live in {parsed.get_backend_name()}: write {_EXAMPLES}")
    return parsed


def _prepare_sqlite_file(url: URL, shown: str) -> None:
    database = url.database or ":memory:"
    if database == ":memory:" or "mode=memory" in url.render_as_string():
        raise ConfigurationError(f"the order desk {shown} would be seen by one thread alone: name a file")
    try:
        Path(database.removeprefix("file:")).parent.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise ConfigurationError(f"the folder of the order desk {shown} cannot be made: {reason}") from reason


def _prepare_sqlite_connection(connection: Any, _record: Any) -> None:
    # The driver's own transactions begin too late, with the first write: two readers that both go on to write
    # then fail at once, however long the timeout. `_begin_sqlite` says BEGIN instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")
    _use_write_ahead_log(cursor)
    # An effect that was reported must outlive a power cut, as its checkpoint does.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    # Only the first connection ever really switches. Processes that do so at the same moment get "database is
    # locked" at once: SQLite does not apply its timeout to this one statement.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as reason:
            if "locked" not in str(reason) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
