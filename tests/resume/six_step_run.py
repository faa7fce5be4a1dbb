"""The run that the kill matrix kills: six model requests, nine tool calls, and what to expect of each kill.

Nothing here knows Prefect: the flow is in `six_steps.py`, the harness in `arena.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.models import Model

from triptych.loop.deps import DeskDeps
from triptych.loop.desk import rules
from triptych.loop.limits import Limits
from triptych.loop.models import Plan, Turn
from triptych.loop.tools.execution import take_effect
from triptych.loop.tools.orders import orders_toolset
from triptych.records import PlannedCall, Resolution, WitnessLine

LIMITS = Limits(steps=10)

Kind: TypeAlias = Literal["request", "read", "effect"]


def _order(order_id: str, paid: float) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "user_id": "una_1",
        "address": {"zip": "10001"},
        "items": [{"item_id": "1", "product_id": "1", "price": paid}],
        "status": "delivered",
        "payment_history": [{"transaction_type": "payment", "amount": paid, "payment_method_id": "card_1"}],
    }


RECORDS: Mapping[str, Any] = {
    "users": {
        "una_1": {
            "name": {"first_name": "Una", "last_name": "Ortiz"},
            "email": "una@example.com",
            "address": {"zip": "10001"},
            "payment_methods": {"card_1": {"id": "card_1", "source": "credit_card"}},
            "orders": ["#A", "#B", "#C"],
        }
    },
    "orders": {order_id: _order(order_id, paid) for order_id, paid in (("#A", 50.0), ("#B", 60.0), ("#C", 70.0))},
    "products": {},
}


def _look(order_id: str) -> PlannedCall:
    return PlannedCall(name="order_lookup", arguments={"order_id": order_id})


def _give(tool: str, order_id: str, amount: float) -> PlannedCall:
    return PlannedCall(name=tool, arguments={"order_id": order_id, "amount": amount})


# `refund` is declared sequential; `goodwill` is the same effect, and runs beside the other calls of its response.
PLAN = Plan(
    turns=(
        Turn(text="Let me look.", calls=(_look("#A"),)),
        Turn(calls=(_give("goodwill", "#A", 5.0), _give("goodwill", "#B", 7.5))),
        Turn(calls=(_look("#B"), _look("#C"))),
        Turn(calls=(_look("#C"), _give("refund", "#C", 3.0))),
        Turn(calls=(_give("goodwill", "#A", 2.25), _look("#B"))),
    ),
    final={"outcome": "resolved", "answer": "All refunds are on their way."},
)


def goodwill(ctx: RunContext[DeskDeps], order_id: str, amount: float) -> str:
    """Refund without asking why."""
    return take_effect(ctx, rules.refund, order_id=order_id, amount=amount)


def build_agent(model: Model[Any], *, capabilities: Any = ()) -> Agent[DeskDeps, Resolution]:
    return Agent(
        model,
        name="six-steps",
        deps_type=DeskDeps,
        output_type=Resolution,
        instructions="Refund what the customer asks for.",
        toolsets=[orders_toolset(), FunctionToolset([goodwill], id="goodwill")],
        capabilities=capabilities,
    )


class Step(NamedTuple):
    """A model request or a tool call."""

    key: str
    """As in the witness file: `request:<n>`, or the tool call's id."""
    kind: Kind
    before: tuple[str, ...] = ()
    """The calls that run beside this one and stand before it in the response."""
    after: tuple[str, ...] = ()
    """The calls that run beside this one and stand behind it."""


def _calls() -> list[Step]:
    steps: list[Step] = []
    for number, turn in enumerate(PLAN.turns, start=1):
        keys = [f"call-{number}-{position}" for position in range(1, len(turn.calls) + 1)]
        barrier = any(call.name == "refund" for call in turn.calls)
        for index, call in enumerate(turn.calls):
            kind: Kind = "read" if call.name == "order_lookup" else "effect"
            beside = ((), ()) if barrier else (tuple(keys[:index]), tuple(keys[index + 1 :]))
            steps.append(Step(keys[index], kind, *beside))
    return steps


REQUESTS = [Step(f"request:{number}", "request") for number in range(1, len(PLAN.turns) + 2)]
CALLS = _calls()
STEPS = {step.key: step for step in [*REQUESTS, *CALLS]}
EFFECTS = [step.key for step in CALLS if step.kind == "effect"]

POINTS: Mapping[Kind, Mapping[str, tuple[int, int]]] = {
    # Kill point: how often the step has then started and finished in all, over both executions.
    "request": {
        "before": (1, 1),
        "inside": (2, 1),  # the provider has the request
        "streamed": (2, 1),  # its last chunk is here, the response is not put together
        "answered": (2, 2),  # the response is here, its checkpoint is not
        "writing": (2, 2),  # half of its checkpoint's bytes are on their way
        "written": (1, 1),  # the checkpoint is durable, the task run is not Completed
    },
    "read": {"before": (1, 1), "inside": (2, 1), "answered": (2, 2), "writing": (2, 2), "written": (1, 1)},
    "effect": {
        "before": (1, 1),
        "inside": (2, 1),
        "uncommitted": (2, 1),  # inside the transaction that makes the effect
        "committed": (2, 1),  # the effect is made, the tool has not returned
        "answered": (2, 2),
        "writing": (2, 2),
        "written": (1, 1),
    },
}


class Kill(NamedTuple):
    """Where the first execution ends."""

    key: str
    point: str

    @property
    def kill_class(self) -> str:
        """Kind of step and kind of point: the matrix has at least one kill of each."""
        return f"{STEPS[self.key].kind}-{self.point}"

    def __str__(self) -> str:
        return f"{self.key.replace(':', '-')}-{self.point}"


ALL_KILLS = [Kill(step.key, point) for step in STEPS.values() for point in POINTS[step.kind]]


def sample(seed: int, stores: tuple[str, ...]) -> list[tuple[str, Kill]]:
    """One kill of each class, in the stores by turns; another one, and the other store, for another seed."""
    chance = random.Random(seed)
    by_class: dict[str, list[Kill]] = {}
    for kill in ALL_KILLS:
        by_class.setdefault(kill.kill_class, []).append(kill)
    return [
        (stores[(seed + number) % len(stores)], chance.choice(kills)) for number, kills in enumerate(by_class.values())
    ]


Counts: TypeAlias = dict[str, tuple[int, int]]
"""How often each step was started and finished, by its key."""


def expected_counts(kill: Kill | None) -> Counts:
    """What the witness must say once the run is over: every step once, but for those that had no checkpoint yet."""
    counts: Counts = dict.fromkeys(STEPS, (1, 1))
    if kill is not None:
        target = STEPS[kill.key]
        counts[kill.key] = POINTS[target.kind][kill.point]
        # Calls behind the target in the same response are held until the kill, their work done and not recorded.
        for key in target.after:
            counts[key] = (2, 1)
    return counts


def counted(lines: list[WitnessLine]) -> Counts:
    """What the witness says."""
    started = Counter(line.key for line in lines if line.event in ("request.started", "tool.started"))
    finished = Counter(line.key for line in lines if line.event in ("request.finished", "tool.finished"))
    return {key: (started[key], finished[key]) for key in {*started, *finished}}
