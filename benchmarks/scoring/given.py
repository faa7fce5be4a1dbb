"""What arms are given to do and what strikes them, in a line each: for the README and the report."""

from __future__ import annotations

from collections.abc import Mapping

WORKLOADS: Mapping[str, str] = {
    "retail": "support tickets of mostly three to six tool calls: look-ups, changes of orders, and refunds small "
    "enough that nobody is asked",
    "approvals": "a look-up, a refund so large that a person is asked, and a look-up; people take one to twelve hours, "
    "scaled, and deny every fourth",
    "coding": "an agent with a folder writes a module, runs it, and pays back what it works out",
    "steps-<length>": "so many look-ups one after the other, with a model that answers at once",
    "throughput-<in flight>": "a look-up and a refund, with so many runs under way at once and a model that answers at "
    "once",
}
"""By the name that the frames have, but for its number."""

PLANS: Mapping[str, str] = {
    "none": "nothing goes wrong",
    "tool_errors": "a third of the calls meets, once or twice, a 503, a timeout before anything was done, or one after "
    "it was done",
    "slow_tools": "a third of the calls is answered 0.3 to 1.5 seconds late, within what clients wait",
    "model_errors": "a third of the model requests is answered 429 or 500, once or twice",
    "kills": "half of the runs have their process killed once, at any request or call: as it comes in, once it is done "
    "and its answer withheld, or just after the answer",
    "kills_all": "the same of every run",
    "mixed": "each run meets one trouble, in turns: a kill, an error or timeout of a tool, an error of the model, or a "
    "late tool",
    "deploy": "a changed instruction is deployed amid the runs",
    "restart": "all of the arm is killed and started again; where people are asked, while half of the runs wait",
    "store_outage": "what the arm keeps its state in cannot be reached for five seconds",
}
"""By name."""


def table() -> str:
    """Return both as the README has them."""
    parts = (("workload", WORKLOADS), ("plan", PLANS))
    return "\n".join(
        f"| {title} | what it is |\n|---|---|\n" + "".join(f"| `{name}` | {what} |\n" for name, what in of.items())
        for title, of in parts
    )
