"""Records in memory answer exactly as the order desk does, and items do not meet in them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.world.records import ItemRecords, changes, sample_records
from benchmarks.world.tools import specs
from triptych.loop.desk import OrderDesk, lookups, rules
from triptych.records import Ticket
from triptych.samples import SAMPLES, TICKETS

OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("find_user_id_by_email", {"email": "NKECHI@example.com"}),
    ("find_user_id_by_email", {"email": "nobody@example.com"}),
    ("find_user_id_by_name_zip", {"first_name": "ivo", "last_name": "LINDQVIST", "zip": "05401"}),
    ("find_user_id_by_name_zip", {"first_name": "Ivo", "last_name": "Lindqvist", "zip": "05602"}),
    ("get_user_details", {"user_id": "nobody"}),
    ("get_order_details", {"order_id": "#T9"}),
    ("get_product_details", {"product_id": "9"}),
    ("list_all_product_types", {}),
    ("modify_pending_order_payment", {"order_id": "#T1006", "payment_method_id": "gift_card_1103002"}),
    ("refund", {"order_id": "#T1005", "amount": 12.5}),
    ("refund", {"order_id": "#T1005", "amount": 12.5}),
    ("get_user_details", {"user_id": "nkechi_abara_1103"}),
]


def at_the_desk(desk: OrderDesk, key: str, name: str, arguments: dict[str, Any]) -> str:
    if not changes(name):
        return getattr(lookups, name)(desk, **arguments)
    rule = getattr(rules, name)
    return desk.apply(key=key, tool=name, arguments=arguments, change=lambda records: rule(records, **arguments)).result


def test_they_answer_as_the_desk_does(tmp_path: Path) -> None:
    tickets = [Ticket.model_validate_json(line) for line in TICKETS.read_text(encoding="utf-8").splitlines()]
    calls = [(call.name, call.arguments) for ticket in tickets for call in ticket.actions or ()]
    calls = [call for call in [*calls, *OTHERS] if call[0] != "calculate"]
    records = ItemRecords(sample_records())
    with OrderDesk(f"sqlite:///{tmp_path / 'desk.sqlite'}") as desk:
        desk.load(SAMPLES)
        for number, (name, arguments) in enumerate(calls):
            done = records.do(name, arguments)
            assert done.result == at_the_desk(desk, str(number), name, arguments), (name, arguments)
        applied = len(desk.effects())
    assert applied > 10
    again = ItemRecords(sample_records())
    assert sum(again.do(name, arguments).applied for name, arguments in calls) == applied


def test_what_one_item_changes_no_other_sees() -> None:
    before = copy.deepcopy(sample_records())
    one, other = ItemRecords(sample_records()), ItemRecords(sample_records())
    address = {"address1": "1", "address2": "", "city": "C", "state": "VT", "country": "USA", "zip": "05602"}
    one.do("modify_user_address", {"user_id": "ivo_lindqvist_1104", **address})
    one.do("cancel_pending_order", {"order_id": "#T1001", "reason": "no longer needed"})
    who = {"first_name": "Ivo", "last_name": "Lindqvist"}
    assert one.do("find_user_id_by_name_zip", {**who, "zip": "05602"}).result == "ivo_lindqvist_1104"
    assert other.do("find_user_id_by_name_zip", {**who, "zip": "05602"}).result == "Error: user not found"
    assert sample_records() == before


def test_what_is_handed_out_is_a_copy() -> None:
    records = ItemRecords(sample_records())
    for read, id in ((records.user, "ivo_lindqvist_1104"), (records.order, "#T1001"), (records.product, "7100000001")):
        first = read(id)
        assert first is not None
        first.clear()
        assert read(id)


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec["name"])
def test_there_is_every_tool(spec: dict[str, Any]) -> None:
    samples: dict[str, Any] = {"string": "2", "array": ["1"], "number": 1.5}
    given = {name: samples[of["type"]] for name, of in spec["parameters"]["properties"].items()}
    done = ItemRecords(sample_records()).do(spec["name"], given)
    assert isinstance(done.result, str)
    assert spec["changes"] or not done.applied


def test_there_is_no_other_tool() -> None:
    with pytest.raises(KeyError):
        ItemRecords(sample_records()).do("nothing", {})
