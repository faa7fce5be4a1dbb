"""Run by an interpreter that has nothing but the wheel: the smallest agent looks an order up and refunds part of it."""

import json
import sys
from importlib.resources import as_file, files

import triptych
from triptych.loop.agents.orders import build_agent
from triptych.loop.approvals import run_metadata
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.records import PlannedCall, Resolution

ORDER = "#T1003"
PLAN = Plan(
    turns=(
        Turn(calls=(PlannedCall(name="order_lookup", arguments={"order_id": ORDER}),)),
        Turn(calls=(PlannedCall(name="refund", arguments={"order_id": ORDER, "amount": 1.5}),)),
    ),
    final={"outcome": "resolved", "answer": "1.50 is on its way."},
)


def main(desk_url: str) -> None:
    with OrderDesk(desk_url) as desk, as_file(files(triptych) / "samples") as samples:
        desk.load(samples)
        # Without a threshold of its own the run would have a person asked about every refund.
        result = build_agent(ScriptedModel(PLAN)).run_sync(
            "The kettle came with a dent.", deps=DeskDeps(desk=desk), metadata=run_metadata(500)
        )
        assert isinstance(result.output, Resolution), result.output
        answer = {
            "package": triptych.__file__,
            "outcome": result.output.outcome,
            "requests": result.usage.requests,
            "effects": [effect.tool for effect in desk.effects()],
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
