"""Bad records are refused with the file, the record, the field and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.order_desks import Collections, small_records, sqlite_url, stored
from triptych.errors import ConfigurationError
from triptych.loop.desk import OrderDesk
from triptych.loop.desk.source import read_records


def write(folder: Path, records: Collections) -> Path:
    for name, collection in records.items():
        (folder / f"{name}.json").write_text(json.dumps(collection))
    return folder


def test_a_folder_and_its_collections_are_the_same(tmp_path: Path) -> None:
    assert read_records(write(tmp_path, small_records())) == read_records(small_records())


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    records = small_records()
    records["orders"]["#1"]["gift_wrap"] = {"color": "red"}
    assert read_records(write(tmp_path, records)).orders["#1"]["gift_wrap"] == {"color": "red"}


def _edit(path: str, value: Any) -> Callable[[Collections], None]:
    def edit(records: Collections) -> None:
        *parents, last = path.split("/")
        place: Any = records
        for each in parents:
            place = place[int(each) if each.isdigit() else each]
        place[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_edit("orders/#1/status", None), r"orders\.json: record '#1', field 'status': .*string"),
        (_edit("orders/#1/items/0/price", "8.10"), r"orders\.json: record '#1', field 'items\.0\.price': .*number"),
        (_edit("orders/#1/payment_history", []), r"orders\.json: record '#1', field 'payment_history': .*at least 1"),
        (_edit("orders/#1/order_id", "#7"), r"orders\.json: record '#1': 'order_id' is '#7'"),
        (_edit("orders/#1/user_id", "bob"), r"orders\.json: record '#1': 'user_id' is 'bob', which is not in .*users"),
        (
            _edit("orders/#1/payment_history/0/payment_method_id", "cash"),
            r"orders\.json: record '#1': 'payment_history' names 'cash', which its user does not have",
        ),
        (_edit("users/ada/email", 3), r"users\.json: record 'ada', field 'email': .*string"),
        (
            _edit("users/ada/payment_methods/gift_card_1", {"id": "gift_card_1", "source": "gift_card"}),
            r"users\.json: record 'ada', field 'payment_methods\.gift_card_1\.gift_card\.balance': Field required",
        ),
        (_edit("products/p1/variants/small/available", "yes"), r"field 'variants\.small\.available': .*boolean"),
        (_edit("products/p1/product_id", "p2"), r"products\.json: record 'p1': 'product_id' is 'p2'"),
        (_edit("products/p1", []), r"products\.json: record 'p1': .*"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, edit: Callable[[Collections], None], said: str) -> None:
    records = small_records()
    edit(records)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_records(write(tmp_path, records))
    assert str(caught.value).endswith("Mend the record and load again")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"users\.json is not JSON: .*line 1"),
        ("[]", r"users\.json: the whole: .*dictionary"),
        ('{"ada": NaN}', r"users\.json is not JSON: NaN is not a JSON number"),
        ("\udcff", r"users\.json is not JSON: .*utf-8"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, small_records())
    (tmp_path / "users.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=said):
        read_records(tmp_path)


def test_a_missing_file_or_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"users\.json does not exist: name a folder that holds users\.json"):
        read_records(tmp_path / "nowhere")
    records = small_records()
    del records["products"]
    with pytest.raises(ConfigurationError, match="lack the collection 'products': give users, orders, products"):
        read_records(records)


def test_nothing_is_stored_or_erased_when_one_record_is_bad(tmp_path: Path) -> None:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        before = stored(desk)
        records = small_records()
        records["orders"]["#9"] = {}
        with pytest.raises(ConfigurationError):
            desk.load(records, reset=True)
        assert stored(desk) == before
