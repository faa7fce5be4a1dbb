"""The order desk: records in a database, and one door through which they change."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Table, insert, select, update

from triptych.errors import EffectConflict
from triptych.loop.desk import schema
from triptych.loop.desk.changes import Change, DeskRecord, Records
from triptych.loop.desk.connection import WRITES, connect
from triptych.loop.desk.source import COLLECTIONS, RecordSet, read_records

_TABLES: Mapping[str, Table] = {"users": schema.users, "orders": schema.orders, "products": schema.products}


class Applied(NamedTuple):
    """The outcome of `OrderDesk.apply`."""

    result: str
    """What the tool returns to the model."""
    new: bool
    """True when this very call committed an effect; False for a refusal, and for a key that was there before."""


@dataclass(frozen=True)
class Effect:
    """One line of the append-only list: what a tool did, once."""

    key: str
    """The idempotency key, `conversation:tool call id`."""
    tool: str
    arguments: Mapping[str, Any]
    result: str
    applied_at: datetime
    """In UTC."""


class OrderDesk:
    """The shop's users, orders and products, in SQLite or Postgres.

    Any number of threads and processes may share one desk. Reading takes no lock; each change is one transaction.
    """

    def __init__(self, url: str) -> None:
        """Open the desk, and make its tables where they are missing.

        Args:
            url: SQLAlchemy URL: `sqlite:////absolute/path` or `postgresql+psycopg://user:password@host/database`.

        Raises:
            ConfigurationError: The URL names no database that the desk can use. The operator sees it.
            ConnectionError: The database does not answer. It may later, so this one may be tried again.
        """
        self._engine = connect(url)
        self._writing_engine = self._engine.execution_options(**{WRITES: True})

    def __repr__(self) -> str:
        """Show where the desk is, without its password."""
        return f"OrderDesk({self._engine.url.render_as_string(hide_password=True)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. A SQLite file is then whole on its own and may be copied."""
        self._engine.dispose()

    # Records

    def load(self, source: Path | str | Mapping[str, Any], *, reset: bool = False) -> int:
        """Store records that are not there yet. What is there, changed or not, stays as it is.

        Args:
            source: A folder with `users.json`, `orders.json` and `products.json`, or the three collections by name.
            reset: Erase all records and all effects first.

        Returns:
            How many records were added.

        Raises:
            ConfigurationError: The source does not hold records of this format; nothing has been stored. The
                operator sees it.
        """
        records = read_records(source)
        with self._writing_engine.begin() as connection:
            schema.create(connection, anew=reset)
            return sum(_add_missing(connection, name, records) for name in COLLECTIONS)

    def is_empty(self) -> bool:
        """Whether no records were ever loaded."""
        with self._engine.begin() as connection:
            return all(connection.scalar(select(table.c.id).limit(1)) is None for table in _TABLES.values())

    def user(self, user_id: str) -> DeskRecord | None:
        """The user's record; None when there is no such user."""
        with self._records() as records:
            return records.user(user_id)

    def order(self, order_id: str) -> DeskRecord | None:
        """The order's record; None when there is no such order."""
        with self._records() as records:
            return records.order(order_id)

    def product(self, product_id: str) -> DeskRecord | None:
        """The product's record; None when there is no such product."""
        with self._records() as records:
            return records.product(product_id)

    def users(self) -> dict[str, DeskRecord]:
        """All users, by id."""
        return self._collection(schema.users)

    def orders(self) -> dict[str, DeskRecord]:
        """All orders, by id."""
        return self._collection(schema.orders)

    def products(self) -> dict[str, DeskRecord]:
        """All products, by id."""
        return self._collection(schema.products)

    def user_id_by_email(self, email: str) -> str | None:
        """The id of the first user with this email address, whatever its case; None when there is none."""
        address = schema.users.c.record["email"].as_string()
        with self._engine.begin() as connection:
            # Compared here: the lower() of SQLite knows ASCII alone.
            rows = connection.execute(select(schema.users.c.id, address).order_by(schema.users.c.id))
            return next((user_id for user_id, each in rows if each.lower() == email.lower()), None)

    def user_id_by_name(self, first_name: str, last_name: str, zip_code: str) -> str | None:
        """The id of the first user of this name, whatever its case, at this zip code; None when there is none."""
        wanted = (first_name.lower(), last_name.lower())
        found = (
            select(schema.users.c.id, schema.users.c.record["name"])
            .where(schema.users.c.record[("address", "zip")].as_string() == zip_code)
            .order_by(schema.users.c.id)
        )
        with self._engine.begin() as connection:
            for user_id, name in connection.execute(found):
                if (name["first_name"].lower(), name["last_name"].lower()) == wanted:
                    return user_id
        return None

    # Effects

    def apply(
        self, *, key: str, tool: str, arguments: Mapping[str, Any], change: Callable[[Records], Change]
    ) -> Applied:
        """Make a change once, however often it is asked for: the change and its effect are one transaction.

        Args:
            key: The idempotency key: the same for every execution of one call, and for no other call.
            tool: The tool's name.
            arguments: The call's arguments, as JSON.
            change: Works out the change. Called at most once, inside the transaction, and only when the key is new.

        Returns:
            The result, and whether this call made the effect. For a key that is there already: the first result,
            and nothing was done. A refusal changes nothing and leaves no effect, so it is worked out anew each time.

        Raises:
            EffectConflict: The key belongs to another tool or to other arguments; nothing was done. Whoever makes
                the keys must act.
            ValueError: The change names a record that does not exist. A fault of the rule.
        """
        with self._writing_engine.begin() as connection:
            schema.lock_key(connection, key)
            first = connection.execute(select(schema.effects).where(schema.effects.c.key == key)).one_or_none()
            if first is not None:
                if first.tool != tool or _canonical(first.arguments) != _canonical(arguments):
                    raise EffectConflict(
                        f"the idempotency key {key!r} stands for {first.tool}({_canonical(first.arguments)}) and came "
                        f"again with {tool}({_canonical(arguments)}): two calls must never share a key",
                        key=key,
                    )
                return Applied(result=first.result, new=False)
            done = change(_TransactionRecords(connection, lock=True))
            if done.refused:
                return Applied(result=done.result, new=False)
            _replace(connection, schema.users, done.users)
            _replace(connection, schema.orders, done.orders)
            connection.execute(
                insert(schema.effects).values(
                    key=key, tool=tool, arguments=dict(arguments), result=done.result, applied_at=datetime.now(UTC)
                )
            )
        return Applied(result=done.result, new=True)

    def effects(self, *, key_prefix: str = "") -> list[Effect]:
        """What has been done, in the order it was done.

        Args:
            key_prefix: Only effects whose key begins so, such as a flow run's id.
        """
        table = schema.effects
        rows = select(table).where(table.c.key.startswith(key_prefix, autoescape=True))
        with self._engine.begin() as connection:
            found = connection.execute(rows.order_by(table.c.applied_at, table.c.key)).all()
        return [
            Effect(
                key=row.key,
                tool=row.tool,
                arguments=row.arguments,
                result=row.result,
                # SQLite keeps no time zone; what was written was UTC.
                applied_at=row.applied_at.replace(tzinfo=UTC)
                if row.applied_at.tzinfo is None
                else row.applied_at.astimezone(UTC),
            )
            for row in found
        ]

    @contextmanager
    def _records(self) -> Generator[Records]:
        with self._engine.begin() as connection:
            yield _TransactionRecords(connection, lock=False)

    def _collection(self, table: Table) -> dict[str, DeskRecord]:
        with self._engine.begin() as connection:
            return {row.id: row.record for row in connection.execute(select(table).order_by(table.c.id))}


class _TransactionRecords:
    """The records as one transaction sees them."""

    def __init__(self, connection: Connection, *, lock: bool) -> None:
        self._connection = connection
        self._lock = lock

    def user(self, user_id: str) -> DeskRecord | None:
        return self._one(schema.users, user_id, lock=self._lock)

    def order(self, order_id: str) -> DeskRecord | None:
        return self._one(schema.orders, order_id, lock=self._lock)

    def product(self, product_id: str) -> DeskRecord | None:
        return self._one(schema.products, product_id, lock=False)

    def _one(self, table: Table, record_id: str, *, lock: bool) -> DeskRecord | None:
        query = select(table.c.record).where(table.c.id == record_id)
        # On Postgres the row is ours until the commit; SQLite has one writer and ignores this.
        return self._connection.scalar(query.with_for_update() if lock else query)


def _add_missing(connection: Connection, name: str, records: RecordSet) -> int:
    table = _TABLES[name]
    known = set(connection.scalars(select(table.c.id)))
    missing = [{"id": each, "record": record} for each, record in getattr(records, name).items() if each not in known]
    if missing:
        connection.execute(insert(table), missing)
    return len(missing)


def _replace(connection: Connection, table: Table, records: Mapping[str, DeskRecord]) -> None:
    for record_id, record in records.items():
        done = connection.execute(update(table).where(table.c.id == record_id).values(record=record))
        if done.rowcount != 1:
            raise ValueError(f"the change names {record_id!r}, which is not among the {table.name}")


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)
