"""The models an agent can run on: any that pydantic-ai knows, or `scripted`, which plays a recorded plan."""

from triptych.loop.models.plans import Plan, Turn, plan_for_fix, plan_for_ticket, plan_for_triage
from triptych.loop.models.preflight import check_plan
from triptych.loop.models.pricing import SCRIPTED
from triptych.loop.models.resolve import resolve_model
from triptych.loop.models.scripted import ScriptedModel

__all__ = [
    "SCRIPTED",
    "Plan",
    "ScriptedModel",
    "Turn",
    "check_plan",
    "plan_for_fix",
    "plan_for_ticket",
    "plan_for_triage",
    "resolve_model",
]
