"""The rows that are about one item: itself, its steps and its effects."""

from __future__ import annotations

import math
from collections import Counter

from benchmarks.contract import Item, ItemTrial, told
from benchmarks.scoring.frames import Row
from benchmarks.scoring.ledgers import faults_met, has_right_result, recovery_seconds, steps_of
from benchmarks.scoring.rates import Compute, request_cost_usd
from benchmarks.scoring.seen import SeenItem

_NONE = math.nan


def item_row(seen: SeenItem, compute: Compute | None) -> Row:
    """Return the item's own row.

    Args:
        seen: The item.
        compute: What the trial's processes cost, for all of its items; None: not measured.
    """
    came_of, lines, count = seen.came_of, seen.lines, len(seen.trial.items)
    requests = [line for line in lines if line.kind == "request"]
    arrived = next((line.at for line in requests if line.event == "started"), None)
    answered = next((line.at for line in requests if line.event == "first_token"), None)
    paid = [line for line in requests if line.event == "finished"]
    killed = sum(line.event == "killed" for line in lines)
    done_at = came_of.ended_at if seen.is_done else None
    restarts = [each.at for each in seen.trial.struck if each.what == "restart" and _is_under_way(came_of, each.at)]
    recovery = recovery_seconds(seen.item, lines, done_at, restarts=restarts, waits=came_of.waits)
    return {
        **seen.key,
        "state": came_of.state,
        "ended": came_of.ended_at is not None,
        "answer_right": _has_right_answer(came_of, seen.item),
        "submitted_at": came_of.submitted_at,
        "ended_at": _NONE if came_of.ended_at is None else came_of.ended_at,
        "seconds": _NONE if came_of.ended_at is None else came_of.ended_at - came_of.submitted_at,
        "first_token_ms": _NONE if answered is None else 1000 * (answered - came_of.submitted_at),
        "overhead_ms": _NONE if arrived is None else 1000 * (arrived - came_of.submitted_at),
        "waited_seconds": sum((until - since for since, until in came_of.waits), 0.0),
        "asked": came_of.asked,
        "asked_again": came_of.asked_again,
        "requests_paid": len(paid),
        "input_tokens": sum(line.input_tokens for line in paid),
        "output_tokens": sum(line.output_tokens for line in paid),
        "cost_tokens_usd": sum((request_cost_usd(line.input_tokens, line.output_tokens) for line in paid), 0.0),
        "cost_compute_usd": _NONE if compute is None else compute.busy_usd / count,
        "cost_idle_usd": _NONE if compute is None else compute.idle_usd / count,
        "crashes": killed + sum(each.what == "restart" for each in seen.trial.struck) / count,
        "killed": killed,
        "faults": faults_met(lines) + len(seen.trial.struck) / count,
        "recovery_seconds": _NONE if recovery is None else recovery,
        "silent_failure": seen.is_done and not _is_as_it_must_be(seen),
        "runs_code": any(action.result is not None for action in seen.item.actions),
        "credential_taken": any(line.event == "taken" for line in lines),
    }


def _is_under_way(came_of: ItemTrial, at: float) -> bool:
    return came_of.submitted_at <= at and (came_of.ended_at is None or at < came_of.ended_at)


def _is_as_it_must_be(seen: SeenItem) -> bool:
    effects = all(row["success"] if row["intended"] else row["applied"] == 0 for row in effect_rows(seen))
    programs = (step for step, action in enumerate(seen.item.actions) if action.result is not None)
    are_told = all(has_right_result(step, seen.lines) for step in programs)
    return effects and are_told and _has_right_answer(seen.came_of, seen.item) and _has_done_its_course(seen)


def _has_right_answer(came_of: ItemTrial, item: Item) -> bool:
    return came_of.answer is not None and came_of.answer.strip() == item.answer.strip()


def _has_done_its_course(seen: SeenItem) -> bool:
    """Whether every request was done, and every call that comes to the shop: none that is denied, nor code."""
    actions = seen.item.actions
    return all(
        step.finished_times > 0
        for step in steps_of(seen.item, seen.lines)
        if step.kind == "request" or (actions[step.step].approval != "deny" and actions[step.step].result is None)
    )


def step_rows(seen: SeenItem) -> list[Row]:
    """Return a row for each step of the item."""
    rows: list[Row] = []
    for step in steps_of(seen.item, seen.lines, seen.trial.plan.faults):
        completed = step.finished_times > 0
        lost = completed and not seen.is_done
        rows.append(
            {
                **seen.key,
                "kind": step.kind,
                "step": step.step,
                "attempts": step.attempts,
                "completed": completed,
                "finished_times": step.finished_times,
                "executed_again": step.executed_again,
                "corrupted": step.corrupted,
                "lost": lost,
                "kept": completed and not (step.executed_again or step.corrupted or lost),
                "unavoidable": step.unavoidable,
            }
        )
    return rows


def effect_rows(seen: SeenItem) -> list[Row]:
    """Return a row for each effect that the item was to have, and for each that it had beside those."""
    applied = Counter(line.step for line in seen.lines if line.event == "applied")
    rows: list[Row] = []
    for step, action in enumerate(seen.item.actions):
        intended = action.changes and action.approval != "deny"
        if not intended and not applied[step]:
            continue
        right = has_right_result(step, seen.lines)
        unasked = _times_unasked(seen, step)
        rows.append(
            {
                **seen.key,
                "step": step,
                "tool": action.name,
                "intended": int(intended),
                "applied": applied[step],
                "needs_person": action.approval == "approve",
                "unasked": unasked,
                "right_result": right,
                "success": intended and applied[step] == 1 and not unasked and right,
            }
        )
    return rows


def _times_unasked(seen: SeenItem, step: int) -> int:
    """How often the shop made an effect that needs a person before one had approved just this call."""
    action = seen.item.actions[step]
    if action.approval != "approve":
        return 0
    call = told(action.name, action.arguments)
    approvals = [each.at for each in seen.came_of.decisions if each.approve and each.call == call]
    approved_at = min(approvals, default=math.inf)
    made = (line.at for line in seen.lines if line.event == "applied" and line.step == step)
    return sum(at < approved_at for at in made)
