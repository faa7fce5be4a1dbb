"""What the ledger says about one item: its attempts, and what became of each of its steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.contract import Fault, Item, Kind, LedgerLine

Lines = Sequence[LedgerLine]


def by_item(ledger: Iterable[LedgerLine]) -> dict[str, list[LedgerLine]]:
    """Sort a trial's ledger into its items' lines, the oldest first."""
    lines: dict[str, list[LedgerLine]] = {}
    for line in sorted(ledger, key=lambda line: line.at):
        lines.setdefault(line.item, []).append(line)
    return lines


class Step(NamedTuple):
    """What became of one logical step of an item."""

    kind: Kind
    step: int
    attempts: int
    finished_times: int
    executed_again: bool
    unavoidable: bool
    corrupted: bool


def steps_of(item: Item, lines: Lines, faults: Sequence[Fault] = ()) -> list[Step]:
    """Return all steps of an item's right course, those that never began included, in its order.

    Args:
        item: Whose lines these are.
        lines: Its ledger.
        faults: Of the trial's plan.
    """
    count = len(item.actions)
    at_once = {
        (fault.kind, fault.step)
        for fault in faults
        if fault.item == item.id and (fault.what, fault.when) == ("kill", "answered") and fault.seconds == 0
    }
    return [
        _step(kind, number, lines, killed_at_once=(kind, number) in at_once)
        for number in range(count + 1)
        for kind in (("request", "call") if number < count else ("request",))
    ]


def _step(kind: Kind, number: int, lines: Lines, *, killed_at_once: bool) -> Step:
    of = [line for line in lines if (line.kind, line.step) == (kind, number)]
    spared = {line.attempt for line in of if line.event == "missed"}
    # A process that is killed in the moment of the answer has not read it.
    kinds = ("timeout/done", "kill/done", *(["kill/answered"] if killed_at_once else []))
    withheld = {line.attempt for line in of if line.fault in kinds} - spared
    finished: list[LedgerLine] = []
    again_after: list[LedgerLine] = []
    for line in of:
        if line.event == "started" and finished:
            again_after.append(finished[-1])
        elif line.event == "finished":
            finished.append(line)
    # Two that ran side by side, as when a client gave up on one that went on: none began after the other had ended.
    executed_again = bool(again_after) or len(finished) > 1
    return Step(
        kind=kind,
        step=number,
        attempts=sum(line.event == "started" for line in of),
        finished_times=len(finished),
        executed_again=executed_again,
        unavoidable=bool(again_after) and all(line.attempt in withheld for line in again_after),
        corrupted=kind == "call" and bool(finished) and _is_corrupted(number, finished[0], lines),
    )


def _is_corrupted(call: int, finished: LedgerLine, lines: Lines) -> bool:
    later = lines[_index(lines, finished) + 1 :]
    return any(call in (*line.wrong, *line.missing) for line in later if _is_request(line))


def _index(lines: Lines, wanted: LedgerLine) -> int:
    return next(at for at, line in enumerate(lines) if line is wanted)


def _is_request(line: LedgerLine) -> bool:
    return line.kind == "request" and line.event == "started"


def has_right_result(call: int, lines: Lines) -> bool:
    """Whether the last request that came after a call in the item's course had its right result; False without one."""
    after = [line for line in lines if _is_request(line) and line.step > call]
    return bool(after) and call not in (*after[-1].wrong, *after[-1].missing)


def faults_met(lines: Lines) -> int:
    """Count the attempts that a fault met; a kill that was missed met none."""
    met = {(line.kind, line.step, line.attempt) for line in lines if line.fault is not None}
    return len(met - {(line.kind, line.step, line.attempt) for line in lines if line.event == "missed"})


def kill_that_was_missed(lines: Lines) -> LedgerLine | None:
    """Return the first kill that did not happen: its process was not found, also at no later attempt of the step."""
    killed = {(line.kind, line.step) for line in lines if line.event == "killed"}
    missed = (line for line in lines if line.event == "missed" and (line.kind, line.step) not in killed)
    return next(missed, None)


def invocations(lines: Lines) -> int:
    """Count how often the item's run began from its first request, a client's retries of that request left out."""
    first = [line for line in lines if (line.kind, line.step) == ("request", 0)]
    count, retried = 0, False
    for line in first:
        if line.event == "started":
            count += not retried
        retried = line.event == "failed"
    return count


def recovery_seconds(
    item: Item,
    lines: Lines,
    done_at: float | None,
    *,
    restarts: Sequence[float] = (),
    waits: Sequence[tuple[float, float]] = (),
) -> float | None:
    """Return the longest time from a kill to the next step that begins, or to the end of an item that was done by then.

    Args:
        item: Whose lines these are.
        lines: Its ledger.
        done_at: When it ended `done`; None: it did not.
        restarts: When the whole arm was killed with the item under way, as Unix times in seconds.
        waits: From when to when it waited for a person, likewise.

    Returns:
        Seconds; infinite where nothing came after a kill; None where there was no kill, or a person was or had to be
        waited for before the next step, so that it says nothing about the arm.
    """
    kills = [(line.at, lines[number + 1 :]) for number, line in enumerate(lines) if line.event == "killed"]
    kills += [(at, [line for line in lines if line.at > at]) for at in restarts]
    times: list[float] = []
    for at, after in kills:
        following = next((line for line in after if line.event == "started"), None)
        back_at = following.at if following is not None else math.inf if done_at is None else done_at
        if following is not None and _follows_a_question(item, following):
            continue
        if not any(since < back_at and at < until for since, until in waits):
            times.append(max(0.0, back_at - at))
    return max(times, default=None)


def _follows_a_question(item: Item, line: LedgerLine) -> bool:
    """Whether the step before this one in the right course is a person's decision."""
    if line.kind == "call":
        return line.step < len(item.actions) and item.actions[line.step].approval == "approve"
    return 0 < line.step <= len(item.actions) and item.actions[line.step - 1].approval == "deny"
