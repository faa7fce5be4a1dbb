"""Small trials, made by hand: a course is written down step by step, and its clock goes on by itself."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from benchmarks.contract import (
    Action,
    Decision,
    FaultPlan,
    Happening,
    Item,
    ItemTrial,
    Kind,
    LedgerLine,
    Parts,
    State,
    Struck,
    Trial,
    Used,
)
from benchmarks.scoring.frames import Frames
from benchmarks.scoring.rates import ContainerRates, FunctionRates, Rates
from benchmarks.scoring.tidy import tidy

LOOK = Action(name="order_lookup", arguments={"order_id": "W1"})
REFUND = Action(name="refund", arguments={"order_id": "W1", "amount": 20}, changes=True)
APPROVED = REFUND.model_copy(update={"approval": "approve"})
DENIED = REFUND.model_copy(update={"approval": "deny"})
CODE = Action(name="run_python", arguments={"code": "print(1)"}, result="1")
RATES = Rates(
    function=FunctionRates(gb_second_usd=0.01, request_usd=0.5, as_of="2026-03"),
    container=ContainerRates(vcpu_hour_usd=36.0, gb_hour_usd=7.2, as_of="2026-03"),
)
"""Of a function a cent a GB-second and half a dollar an invocation; of a container a cent a vCPU-second and 0.2 cents a
GB-second."""


def item(*actions: Action, id: str = "i1", wait_hours: float = 0.0) -> Item:
    told = {"id": id, "workload": "retail", "instruction": f"Ticket {id}: help", "answer": "Done."}
    return Item.model_validate({**told, "actions": actions, "wait_hours": wait_hours})


class Course:
    """The ledger of one item. It is handed in at 100.0; its first request comes at 101.0, unless told otherwise."""

    def __init__(self, id: str = "i1", *, at: float = 101.0) -> None:
        self.lines: list[LedgerLine] = []
        self.at = at
        self._id = id
        self._attempts = Counter[tuple[Kind, int]]()

    def add(self, event: str, kind: Kind, step: int, *, after: float = 0.0, **more: Any) -> Course:
        """Write a line, `after` seconds after the last one."""
        self.at = round(self.at + after, 6)
        if event == "started":
            self._attempts[kind, step] += 1
        line = {"at": self.at, "item": self._id, "kind": kind, "step": step, "attempt": self._attempts[kind, step]}
        self.lines.append(LedgerLine.model_validate({**line, "event": event, **more}))
        return self

    def request(self, step: int, *, fault: str | None = None, **started: Any) -> Course:
        """Half a second: the first chunk after 0.2. It costs 1000 tokens in and 100 out."""
        self.add("started", "request", step, fault=fault, **started)
        self.add("first_token", "request", step, after=0.2, fault=fault)
        tokens = {"input_tokens": 1000, "output_tokens": 100}
        return self.add("finished", "request", step, after=0.3, fault=fault, **tokens)

    def call(self, step: int, *, effect: bool = False, fault: str | None = None) -> Course:
        """A tenth of a second."""
        self.add("started", "call", step, fault=fault)
        if effect:
            self.add("applied", "call", step, after=0.05, fault=fault)
        return self.add("finished", "call", step, after=0.05 if effect else 0.1, fault=fault)

    def failed(self, kind: Kind, step: int, fault: str = "error/received") -> Course:
        return self.add("started", kind, step, fault=fault).add("failed", kind, step, fault=fault)

    def killed(self, kind: Kind, step: int, when: str) -> Course:
        """A kill of the attempt that was last written down; the next thing comes two seconds later."""
        self.add("killed", kind, step, fault=f"kill/{when}")
        self.at += 2.0
        return self


def right_course(of: Item, course: Course | None = None) -> Course:
    """Return all of an item's course, each step once."""
    course = Course(of.id) if course is None else course
    for step, action in enumerate(of.actions):
        course.request(step)
        if action.approval != "deny" and action.result is None:
            course.call(step, effect=action.changes)
    return course.request(len(of.actions))


def came_of(course: Course, id: str = "i1", state: State = "done", **more: Any) -> ItemTrial:
    """It was handed in at 100.0 and ended with its ledger."""
    known = {"item": id, "submitted_at": 100.0, "ended_at": course.at, "state": state, "answer": "Done."}
    return ItemTrial.model_validate({**known, **more})


def decision(action: Action, *, approve: bool = True, at: float = 100.0) -> Decision:
    """What a person said about a call, before anything was done unless told otherwise."""
    return Decision(at=at, call=f"{action.name}({json.dumps(action.arguments, sort_keys=True)})", approve=approve)


def used(**more: Any) -> Used:
    """Ten seconds, four of CPU, 30 GiB-seconds of memory, none of them idle."""
    known = {
        "seconds": 10.0,
        "cpu_seconds": 4.0,
        "peak_memory_mib": 300.0,
        "memory_gib_seconds": 30.0,
        "state_bytes": 5000,
    }
    return Used.model_validate({**known, **more})


def trial(
    *of: tuple[Item, Course],
    arm: str = "layered",
    plan: str = "none",
    workload: str = "retail",
    states: dict[str, State] | None = None,
    happenings: tuple[Happening, ...] = (),
    deploys: tuple[Parts, ...] = (),
    more: dict[str, Any] | None = None,
    **fields: Any,
) -> Trial:
    """A trial of items with their courses. All were done but for `states`; `more` goes to what came of each.

    Its happenings struck at 101.0, unless told otherwise.
    """
    states = states or {}
    struck = tuple(Struck(what=each.what, at=101.0, until=110.0) for each in happenings)
    return Trial(
        arm=arm,
        workload=workload,
        plan=FaultPlan(name=plan, seed=1, happenings=happenings),
        round=fields.pop("round", 0),
        items=tuple(item for item, _ in of),
        came_of=tuple(came_of(course, item.id, states.get(item.id, "done"), **(more or {})) for item, course in of),
        used=fields.pop("used", used()),
        deploys=deploys,
        struck=fields.pop("struck", struck),
        ledger=tuple(line for _, course in of for line in course.lines),
        **fields,
    )


def frames_of(*trials: Trial, user_code: dict[str, int] | None = None) -> Frames:
    return tidy(trials, RATES, user_code or {})


def only(frame: Any, **where: Any) -> dict[str, Any]:
    """Return the one row that has these values."""
    rows = [row for row in frame.to_dict("records") if all(row[name] == value for name, value in where.items())]
    assert len(rows) == 1, rows
    return rows[0]
