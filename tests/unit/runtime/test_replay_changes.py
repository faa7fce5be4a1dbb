"""What changed between two executions of a flow run is caught and named, before anything is executed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel
from pydantic_ai import Tool
from pydantic_ai.models import Model
from pydantic_ai.models.wrapper import WrapperModel

from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.resume.six_step_run import goodwill
from triptych.errors import CheckpointIncompatible
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.models import Plan

looked: list[str] = []


def look(what: str) -> str:
    """Look at something."""
    looked.append(what)
    return what.upper()


def listen(to: str) -> str:
    """Listen to something."""
    return to.lower()


def look_closer(what: str, how: str = "long") -> str:
    """Look at something."""
    return what + how


class Renamed(WrapperModel):
    """The same model under another name."""

    def __init__(self, wrapped: Model[Any], name: str) -> None:
        super().__init__(wrapped)
        self._name = name

    @property
    def model_name(self) -> str:
        return self._name


class Answer(BaseModel):
    """An answer."""

    text: str


PLAN = Plan(turns=(calls(("look", {"what": "a"})), calls(("look", {"what": "b"}), ("look", {"what": "c"}))), final="ok")
AS_IT_WAS: dict[str, Any] = {"tools": [look, listen], "prompt": "Look.", "instructions": "Be brief."}
FIRST = "1. ask scripted"

CHANGES: dict[str, tuple[dict[str, Any], str, str]] = {
    # What is different, at which step it is caught, and what is said to have changed.
    "prompt": ({"prompt": "Look again."}, FIRST, "user-prompt changed"),
    "instructions": ({"instructions": "Be long."}, FIRST, "instructions changed"),
    "system prompt": ({"system_prompt": "You look."}, FIRST, "system-prompt is new"),
    "model": ({"model_name": "other"}, "1. ask other", "model changed"),
    "settings": ({"model_settings": {"temperature": 0.5}}, FIRST, "settings changed"),
    "output type": ({"output_type": Answer}, FIRST, "output tool final_result is new"),
    "tool removed": ({"tools": [look]}, FIRST, "tool listen is no longer there"),
    "tool added": ({"tools": [look, listen, look_closer]}, FIRST, "tool look_closer is new"),
    "tool order": ({"tools": [listen, look]}, FIRST, "the order changed"),
    "tool schema": ({"tools": [Tool(look_closer, name="look"), listen]}, FIRST, "tool look changed"),
    "tool description": ({"tools": [Tool(look, description="Stare."), listen]}, FIRST, "tool look changed"),
    "tool strictness": ({"tools": [Tool(look, strict=True), listen]}, FIRST, "tool look changed"),
}


def body(runs: DurableRuns, **changes: Any) -> Callable[[], Any]:
    options = AS_IT_WAS | changes
    model = runs.model(options.pop("plan", PLAN))
    prompt = options.pop("prompt")
    tools = options.pop("tools")
    if name := options.pop("model_name", None):
        model = Renamed(model, name)

    async def run() -> Any:
        return (await durable_agent(model, *tools, **options).run(prompt)).output

    return run


@pytest.mark.parametrize(("changes", "step", "says"), CHANGES.values(), ids=CHANGES)
async def test_a_change_is_named_with_its_step_and_nothing_is_executed(
    runs: DurableRuns, changes: dict[str, Any], step: str, says: str
) -> None:
    looked.clear()
    first = await runs.execute(body(runs))
    assert first.result == "ok"
    asked, seen = runs.asked, list(looked)
    again = await runs.execute(body(runs, **changes), first.flow_run_id)
    assert isinstance(again.error, CheckpointIncompatible)
    # The label is the recorded one, which is what the operator sees in the UI.
    assert again.error.step == step.replace("other", "scripted")
    assert says in again.error.change
    assert again.error.step in str(again.error)
    assert again.error.change in str(again.error)
    assert (runs.asked, looked) == (asked, seen)
    # As it was, it goes on as if nothing had happened.
    assert (await runs.execute(body(runs), first.flow_run_id)).result == "ok"
    assert (runs.asked, looked) == (asked, seen)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_settings": {"timeout": 5.0, "max_retries": 0, "extra_headers": {"a": "b"}}},
        {"tools": [Tool(look, max_retries=5, timeout=9, metadata={"a": 1}), listen]},
        {"retries": 3},
    ],
)
async def test_how_a_request_travels_and_a_tool_is_run_may_change(runs: DurableRuns, changes: dict[str, Any]) -> None:
    first = await runs.execute(body(runs))
    asked = runs.asked
    assert (await runs.execute(body(runs, **changes), first.flow_run_id)).result == "ok"
    assert runs.asked == asked


async def test_a_tool_that_answers_otherwise_is_not_seen_where_its_checkpoint_is(runs: DurableRuns) -> None:
    first = await runs.execute(body(runs))

    def look(what: str) -> str:
        """Look at something."""
        raise AssertionError("the recorded result stands")

    again = await runs.execute(body(runs, tools=[look, listen]), first.flow_run_id)
    assert again.result == "ok"


async def test_a_changed_argument_is_named(runs: DurableRuns) -> None:
    """The response is recorded, so what can change is what the tool's validation makes of it."""

    def look(what: str) -> str:
        """Look at something."""
        return what

    def look_louder(what: Annotated[str, AfterValidator(lambda text: text + "!")]) -> str:
        """Look at something."""
        return what

    first = await runs.execute(body(runs, tools=[look]))
    # To the model both are the same.
    again = await runs.execute(body(runs, tools=[Tool(look_louder, name="look")]), first.flow_run_id)
    assert isinstance(again.error, CheckpointIncompatible)
    assert again.error.step == "1. look"
    assert again.error.change == "argument what changed"


async def test_a_change_half_way_is_caught_at_its_step(runs: DurableRuns, desk: OrderDesk) -> None:
    """The steps before it are read, and those behind it not begun."""
    # The checkpoint of the second response is lost; another model answer takes its place.
    first = await runs.execute(body(runs))
    keys = await runs.checkpoints(first.flow_run_id)
    [second] = [key for key in keys if "/0002-model-request" in key]
    await runs.store.remove(second)
    other = Plan(turns=(PLAN.turns[0], calls(("look", {"what": "b"}), ("look", {"what": "d"}))), final="ok")
    again = await runs.execute(body(runs, plan=other), first.flow_run_id)
    assert isinstance(again.error, CheckpointIncompatible)
    assert again.error.step == "2. look"
    assert again.error.change == "argument what changed"


async def test_an_effect_s_tool_is_not_run_for_another_call(runs: DurableRuns, desk: OrderDesk) -> None:
    def refunding(amount: float) -> Callable[[], Any]:
        plan = Plan(turns=(calls(("goodwill", {"order_id": "#A", "amount": amount})),), final="ok")

        async def run() -> Any:
            agent = durable_agent(runs.model(plan), goodwill, deps_type=DeskDeps)
            return (await agent.run("Refund.", deps=DeskDeps(desk))).output

        return run

    first = await runs.execute(refunding(5.0))
    for key in await runs.checkpoints(first.flow_run_id):
        if "model-request" in key:
            await runs.store.remove(key)
    await runs.let_lost_steps_be_done_again(first.flow_run_id)
    again = await runs.execute(refunding(6.0), first.flow_run_id)
    assert isinstance(again.error, CheckpointIncompatible)
    assert again.error.change == "argument amount changed"
    assert [effect.arguments["amount"] for effect in desk.effects()] == [5.0]
