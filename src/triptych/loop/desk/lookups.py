"""What the read-only tools answer: a record as JSON, a plain value, or `Error: ...`. Nothing here writes."""

from __future__ import annotations

import json

from triptych.loop.desk.changes import DeskRecord, error
from triptych.loop.desk.store import OrderDesk

_USER_NOT_FOUND = "user not found"


def find_user_id_by_email(desk: OrderDesk, *, email: str) -> str:
    """The id of the user with this address."""
    return desk.user_id_by_email(email) or error(_USER_NOT_FOUND)


def find_user_id_by_name_zip(desk: OrderDesk, *, first_name: str, last_name: str, zip: str) -> str:
    """The id of the user of this name at this zip code."""
    return desk.user_id_by_name(first_name, last_name, zip) or error(_USER_NOT_FOUND)


def get_user_details(desk: OrderDesk, *, user_id: str) -> str:
    """The user's record."""
    return _record(desk.user(user_id), _USER_NOT_FOUND)


def get_order_details(desk: OrderDesk, *, order_id: str) -> str:
    """The order's record."""
    return _record(desk.order(order_id), "order not found")


def get_product_details(desk: OrderDesk, *, product_id: str) -> str:
    """The product's record. An item's id is not a product's."""
    return _record(desk.product(product_id), "product not found")


def list_all_product_types(desk: OrderDesk) -> str:
    """The product ids, by the product's name, in alphabetical order."""
    ids = {product["name"]: product["product_id"] for product in desk.products().values()}
    return json.dumps(dict(sorted(ids.items())))


def _record(record: DeskRecord | None, missing: str) -> str:
    return error(missing) if record is None else json.dumps(record)
