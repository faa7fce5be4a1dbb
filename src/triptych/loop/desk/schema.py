"""The tables, and the triggers that keep the effects append-only whoever writes to the database."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Connection, DateTime, MetaData, Table, Text, inspect, select, text

metadata = MetaData()


def _collection(name: str) -> Table:
    return Table(name, metadata, Column("id", Text, primary_key=True), Column("record", JSON, nullable=False))


users = _collection("users")
orders = _collection("orders")
products = _collection("products")

effects = Table(
    "effects",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tool", Text, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("result", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
)

_REFUSAL = "effects are append-only"

_GUARDS = {
    "sqlite": (
        "CREATE TRIGGER effects_no_update BEFORE UPDATE ON effects "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}: no UPDATE'); END",
        "CREATE TRIGGER effects_no_delete BEFORE DELETE ON effects "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}: no DELETE'); END",
        # INSERT OR REPLACE deletes without firing DELETE triggers, unless a connection asks for it.
        "CREATE TRIGGER effects_no_replace BEFORE INSERT ON effects "
        "WHEN EXISTS (SELECT 1 FROM effects WHERE key = NEW.key) "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}: the key is taken'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION effects_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{_REFUSAL}: no %', TG_OP; END $$",
        "CREATE TRIGGER effects_no_change BEFORE UPDATE OR DELETE ON effects "
        "FOR EACH ROW EXECUTE FUNCTION effects_append_only()",
        "CREATE TRIGGER effects_no_truncate BEFORE TRUNCATE ON effects "
        "FOR EACH STATEMENT EXECUTE FUNCTION effects_append_only()",
    ),
}

DIALECTS = frozenset(_GUARDS)
"""The databases that the desk knows how to guard."""


def is_complete(connection: Connection) -> bool:
    """Whether tables and triggers are there: they are made in one transaction, and `effects` is the last.

    Args:
        connection: Inside any transaction.
    """
    return inspect(connection).has_table(effects.name)


def create(connection: Connection, *, anew: bool = False) -> None:
    """Make what is missing.

    Args:
        connection: Inside a write transaction; see `lock_schema`.
        anew: Drop everything first, effects included.
    """
    lock_schema(connection)
    if anew:
        metadata.drop_all(connection)
    if is_complete(connection):
        return
    metadata.create_all(connection)
    for statement in _GUARDS[connection.dialect.name]:
        connection.execute(text(statement))


def lock_schema(connection: Connection) -> None:
    """Let one process at a time make tables or load records; the others wait until it commits.

    Args:
        connection: Inside a write transaction, which on SQLite already is the only one.
    """
    _lock(connection, "triptych order desk: schema")


def lock_key(connection: Connection, key: str) -> None:
    """Let one transaction at a time work under an idempotency key; the others wait, then see what it did.

    A unique key alone would not do on Postgres: the second racer would compute its result from the first one's
    changes ("already cancelled") before it ever met the first one's effect.

    Args:
        connection: Inside a write transaction, which on SQLite already is the only one.
        key: The idempotency key.
    """
    _lock(connection, f"triptych order desk: effect {key}")


def _lock(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(text("pg_advisory_xact_lock(hashtextextended(:name, 0))")), {"name": name})
