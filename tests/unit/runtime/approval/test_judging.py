"""What an answer means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.runtime.approval.requests import DEADLINE, request
from triptych.records import ApprovalDecision
from triptych.runtime.approval.judging import Answer, Refused, changed_arguments, judged

YES = {"approve": True, "name": "Mia"}


def decision(form: dict[str, Any], seconds: float, **about: Any) -> ApprovalDecision:
    judgement = judged(request(**about), Answer(form, DEADLINE + timedelta(seconds=seconds)))
    assert isinstance(judgement, ApprovalDecision)
    return judgement


@pytest.mark.parametrize(
    ("form", "seconds", "outcome", "way", "name"),
    [
        (YES, -1, "approved", "form", "Mia"),
        (YES, 0, "expired", "policy", None),
        (YES, 1, "expired", "policy", None),
        (YES | {"name": "  "}, -1, "denied", "form", "unidentified"),
        ({"name": "Mia", "reason": "no"}, -1, "denied", "form", "Mia"),
        ({}, -1, "denied", "form", "unidentified"),
        ({}, 1, "expired", "policy", None),
    ],
)
def test_what_a_form_means(form: dict[str, Any], seconds: int, outcome: str, way: str, name: str | None) -> None:
    decided = decision(form, seconds)
    assert (decided.outcome, decided.way, decided.claimed_name) == (outcome, way, name)
    assert decided.fingerprint == request().fingerprint


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [("deny", "expired"), ("fail", "expired"), ("approve", "approved"), ("escalate", "escalated")],
)
def test_the_policys_answer_holds_from_the_deadline_on(policy: str, outcome: str) -> None:
    about = {"when_nobody_answers": policy, "escalates_to": ("Max",)}
    assert decision({}, 1, **about).outcome == outcome
    # Whatever is answered then, and however.
    late = decision({"name": "Mia"}, 1, **about)
    assert (late.outcome, late.way, late.claimed_name) == (outcome, "policy", None)
    assert "Mia answered after the deadline" in late.reason
    # Before it, silence is no answer of the policy's.
    assert decision({}, -1, **about).outcome == "denied"


def test_what_does_not_fit_the_form_approves_nothing() -> None:
    judgement = judged(request(), Answer(YES | {"approve": [1]}, DEADLINE - timedelta(seconds=1)))
    assert isinstance(judgement, Refused)


def test_changed_arguments_are_the_whole_call() -> None:
    assert changed_arguments(request(), '{"amount": 20}') == {"order_id": "#1", "amount": 20}
    assert changed_arguments(request(), '{"amount": 600.0}') is None
    with pytest.raises(ValueError, match="not known"):
        changed_arguments(request(parameters={}), '{"amount": 20}')


def test_prefects_templates_in_changed_arguments_are_a_text_like_any_other() -> None:
    template = '{"order_id": "{{ flow_run.id }}", "amount": 1}'
    changed = changed_arguments(request(), template)
    assert changed is not None
    assert changed["order_id"] == "{{ flow_run.id }}"
    with pytest.raises(ValueError, match="order_id"):
        changed_arguments(request(), '{"order_id": {"__prefect_kind": "jinja", "template": "#2"}}')
