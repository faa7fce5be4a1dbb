"""Workloads that tests share: for each row of the matrix one for which it alone decides."""

from __future__ import annotations

from typing import Any

from triptych.advice.matrix import ALL, CALL, LOOP, RUNTIME, Recommendation

ROWS: dict[str, tuple[dict[str, Any], Recommendation]] = {
    "single call": ({"task": "extraction"}, CALL),
    "few steps": ({"task": "routing", "steps": 2}, LOOP),
    "begins anew": ({"steps": 5, "begins_anew": True}, LOOP),
    "several steps": ({"steps": 6}, RUNTIME),
    "pauses": ({"steps": 2, "pauses": 1}, RUNTIME),
    "outlives deploys": ({"steps": 2, "outlives_deploys": True}, RUNTIME),
    "long": ({"steps": 2, "minutes": 16.0}, RUNTIME),
    "model's code": ({"steps": 2, "code": "snippets"}, ALL),
    "coding agents": ({"steps": 40, "code": "repository", "parallel": 10}, ALL),
}
"""By the row's name. `dear failures` needs figures: test_advising.py has it."""
