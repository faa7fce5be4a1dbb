"""The shop's tools are Triptych's own, and their arguments are checked before anything is done."""

from __future__ import annotations

import pytest

from benchmarks.world.tools import BadCall, checked, specs
from triptych.loop.tools.orders import orders_toolset
from triptych.loop.tools.retail import retail_toolset


def test_they_are_those_of_both_toolsets() -> None:
    told = specs()
    names = [spec["name"] for spec in told]
    assert sorted(names) == sorted({*retail_toolset().tools, *orders_toolset().tools})
    assert len(names) == 18
    changing = {spec["name"] for spec in told if spec["changes"]}
    toolsets = {**retail_toolset().tools, **orders_toolset().tools}
    assert changing == {name for name, tool in toolsets.items() if (tool.metadata or {})["side_effects"]}
    assert all(spec["description"] and spec["parameters"]["type"] == "object" for spec in told)


def test_where_code_is_run_there_is_one_more_which_the_shop_does_not_do() -> None:
    assert [spec["name"] for spec in specs(with_code=True)] == [*(spec["name"] for spec in specs()), "run_python"]
    with pytest.raises(BadCall, match="no tool 'run_python'"):
        checked("run_python", {"code": "print(1)"})


def test_arguments_come_as_the_tool_takes_them() -> None:
    assert checked("refund", {"order_id": "#1", "amount": 5}) == {"order_id": "#1", "amount": 5.0}
    assert checked("list_all_product_types", {}) == {}


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("nothing", {}, "no tool 'nothing'"),
        ("refund", {"order_id": "#1"}, "amount"),
        ("refund", {"order_id": "#1", "amount": -1}, "amount"),
        ("refund", {"order_id": "#1", "amount": 1, "more": 2}, "more"),
        ("cancel_pending_order", {"order_id": "#1", "reason": "a whim"}, "reason"),
    ],
)
def test_others_are_refused(name: str, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(BadCall, match=says):
        checked(name, arguments)
