"""What a workload may say, and what in it cannot hold together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from triptych.advice import Workload, advise, contradictions
from triptych.errors import ConfigurationError


def test_what_is_not_said_asks_for_nothing() -> None:
    assert Workload(steps=1).model_dump(exclude={"steps"}) == {
        "task": "agent", "pauses": 0, "pause_hours": None, "code": "none", "parallel": 1, "minutes": None,
        "outlives_deploys": False, "begins_anew": False, "failure_cost_usd": None, "crashes_per_10k": None,
        "runs_per_day": None,
    }  # fmt: skip


@pytest.mark.parametrize("task", ["extraction", "classification"])
def test_a_single_answer_needs_no_steps(task: str) -> None:
    assert Workload.model_validate({"task": task}).steps == 1


@pytest.mark.parametrize("task", ["agent", "routing"])
def test_what_has_a_loop_says_its_steps(task: str) -> None:
    with pytest.raises(ValidationError, match="steps"):
        Workload.model_validate({"task": task})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("steps", "6"),
        ("steps", True),
        ("steps", 2.5),
        ("task", "chat"),
        ("pauses", -1),
        ("pause_hours", 0.0),
        ("code", "all"),
        ("parallel", 0),
        ("minutes", 0.0),
        ("minutes", float("inf")),
        ("minutes", float("nan")),
        ("outlives_deploys", 1),
        ("begins_anew", "yes"),
        ("failure_cost_usd", -0.01),
        ("crashes_per_10k", 10_001.0),
        ("runs_per_day", 0.0),
        ("failure_cost_usd", 1e308),
        ("runs_per_day", 1e10),
        ("minutes", 1e7),
        ("pause_hours", 1e6),
        ("steps", 10**7),
        ("step", 6),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Workload.model_validate({"steps": 4, key: value})
    assert [each["loc"] for each in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("workload", "keys", "mend"),
    [
        ({"task": "extraction", "steps": 2}, ("steps", "task"), "say 1 step"),
        ({"task": "classification", "code": "snippets"}, ("code", "task"), "leave one of them out"),
        ({"steps": 2, "code": "repository"}, ("code", "steps"), "say 3 steps or more"),
        ({"steps": 4, "pause_hours": 2.0}, ("pause_hours", "pauses"), "say how many pauses"),
        ({"steps": 4, "begins_anew": True, "pauses": 1}, ("begins_anew", "pauses"), "leave one of them out"),
        (
            {"steps": 4, "begins_anew": True, "outlives_deploys": True},
            ("begins_anew", "outlives_deploys"),
            "leave one of them out",
        ),
    ],
)
def test_what_contradicts_itself_gets_no_advice(workload: dict[str, Any], keys: tuple[str, ...], mend: str) -> None:
    given = Workload.model_validate(workload)
    (found,) = contradictions(given)
    assert found.keys == keys
    assert mend in found.mend
    with pytest.raises(ConfigurationError, match=f"^{', '.join(keys)}: .*; mend: "):
        advise(given)


def test_all_contradictions_are_told_at_once() -> None:
    given = Workload(task="extraction", steps=2, code="repository", pause_hours=1.0)
    assert [each.keys for each in contradictions(given)] == [
        ("steps", "task"), ("code", "task"), ("code", "steps"), ("pause_hours", "pauses"),
    ]  # fmt: skip


def test_what_is_merely_unusual_holds_together() -> None:
    assert not contradictions(Workload(steps=1, code="snippets", pauses=3, outlives_deploys=True, minutes=1.0))
