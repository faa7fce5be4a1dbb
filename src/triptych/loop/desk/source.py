"""Records as they come: a folder of `users.json`, `orders.json` and `products.json`, checked before any is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from triptych.errors import ConfigurationError
from triptych.loop.desk.changes import DeskRecord

COLLECTIONS = ("users", "orders", "products")


class _Shape(BaseModel):
    # What the rules and tools rely on; whatever else a record holds is kept as it is.
    model_config = ConfigDict(extra="allow", strict=True)


_Id = Annotated[str, Field(min_length=1)]
_Amount = Annotated[float, Field(allow_inf_nan=False)]


class _Name(_Shape):
    first_name: str
    last_name: str


class _Address(_Shape):
    zip: str


class _GiftCard(_Shape):
    id: _Id
    source: Literal["gift_card"]
    balance: _Amount


class _OtherMethod(_Shape):
    id: _Id
    source: Literal["credit_card", "paypal"]


class _User(_Shape):
    name: _Name
    email: str
    address: _Address
    payment_methods: dict[_Id, Annotated[_GiftCard | _OtherMethod, Field(discriminator="source")]]
    orders: list[_Id]


class _Item(_Shape):
    item_id: _Id
    product_id: _Id
    price: _Amount


class _Payment(_Shape):
    transaction_type: Literal["payment", "refund"]
    amount: _Amount
    payment_method_id: _Id


class _Order(_Shape):
    order_id: _Id
    user_id: _Id
    address: _Address
    items: list[_Item]
    status: str
    payment_history: list[_Payment] = Field(min_length=1)


class _Variant(_Shape):
    item_id: _Id
    price: _Amount
    available: bool
    options: dict[str, str]


class _Product(_Shape):
    name: str
    product_id: _Id
    variants: dict[_Id, _Variant]


_SHAPES: Mapping[str, TypeAdapter[Any]] = {
    "users": TypeAdapter(dict[_Id, _User]),
    "orders": TypeAdapter(dict[_Id, _Order]),
    "products": TypeAdapter(dict[_Id, _Product]),
}


@dataclass(frozen=True)
class RecordSet:
    """The shop's records, by id; see `read_records`."""

    users: dict[str, DeskRecord]
    orders: dict[str, DeskRecord]
    products: dict[str, DeskRecord]


def read_records(source: Path | str | Mapping[str, Any]) -> RecordSet:
    """Read and check all records.

    Args:
        source: A folder with `users.json`, `orders.json` and `products.json`, each one object that maps an id to
            its record; or the three collections themselves, by name.

    Returns:
        The records, each exactly as it was written.

    Raises:
        ConfigurationError: A collection is missing or cannot be read, or a record lacks what the desk needs. Says
            which file, which record, which field and what is expected. The operator sees it.
    """
    collections = {name: _collection(source, name) for name in COLLECTIONS}
    where = {name: _place(source, name) for name in COLLECTIONS}
    for name, records in collections.items():
        try:
            _SHAPES[name].validate_python(records)
        except ValidationError as reason:
            _refuse(where[name], reason)
    _check_references(collections, where)
    return RecordSet(**collections)


def _place(source: Path | str | Mapping[str, Any], name: str) -> str:
    return f"the collection {name!r}" if isinstance(source, Mapping) else str(Path(source) / f"{name}.json")


def _collection(source: Path | str | Mapping[str, Any], name: str) -> dict[str, DeskRecord]:
    if isinstance(source, Mapping):
        if name not in source:
            raise ConfigurationError(f"the records lack the collection {name!r}: give {', '.join(COLLECTIONS)}")
        return source[name]
    path = Path(source) / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_such_number)
    except FileNotFoundError as reason:
        raise ConfigurationError(
            f"{path} does not exist: name a folder that holds {', '.join(f'{each}.json' for each in COLLECTIONS)}"
        ) from reason
    except OSError as reason:
        raise ConfigurationError(f"{path} cannot be read: {reason.strerror}") from reason
    except ValueError as reason:
        raise ConfigurationError(f"{path} is not JSON: {reason}") from reason


def _no_such_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _refuse(where: str, reason: ValidationError) -> NoReturn:
    problems = reason.errors(include_url=False, include_input=False)
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    if location:
        record, *rest = location
        what = f"record {record!r}, field {'.'.join(rest)!r}" if rest else f"record {record!r}"
    else:
        what = "the whole"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ConfigurationError(f"{where}: {what}: {first['msg']}{more}. Mend the record and load again")


def _check_references(collections: Mapping[str, dict[str, DeskRecord]], where: Mapping[str, str]) -> None:
    def refuse(name: str, record: str, problem: str) -> NoReturn:
        raise ConfigurationError(f"{where[name]}: record {record!r}: {problem}. Mend the record and load again")

    for order_id, order in collections["orders"].items():
        if order["order_id"] != order_id:
            refuse("orders", order_id, f"'order_id' is {order['order_id']!r}; it must be the record's id")
        user = collections["users"].get(order["user_id"])
        if user is None:
            refuse("orders", order_id, f"'user_id' is {order['user_id']!r}, which is not in {where['users']}")
        for payment in order["payment_history"]:
            method = payment["payment_method_id"]
            if method not in user["payment_methods"]:
                refuse("orders", order_id, f"'payment_history' names {method!r}, which its user does not have")
    for product_id, product in collections["products"].items():
        if product["product_id"] != product_id:
            refuse("products", product_id, f"'product_id' is {product['product_id']!r}; it must be the record's id")
