"""How one item goes: what its right course says, and how far it has come as the world sees it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from benchmarks import code
from benchmarks.contract import Action, Item, Kind
from benchmarks.world.messages import Answered
from benchmarks.world.records import Done, ItemRecords, sample_records
from benchmarks.world.tools import BadCall, checked
from triptych.loop.desk.source import read_records


class Judged(NamedTuple):
    """What a history says against the right course: the numbers of its calls."""

    wrong: tuple[int, ...]
    """Those whose results are not the right ones."""
    missing: tuple[int, ...]
    """Those that are not there."""


class Course:
    """One item of one trial.

    Attributes:
        credential: What the newest model request about it was authorised by.
        last: The turn whose action the model has called for last; -1 before the first.
    """

    def __init__(self, item: Item, base_url: str = "") -> None:
        """Begin.

        Args:
            item: The item.
            base_url: The world's own, for where its programs take what they find.

        Raises:
            ConfigurationError: its records are of no form that the desk takes.
        """
        self.item = _placed(item, f"{base_url}/taken/{item.id}")
        self._start = sample_records() if item.records is None else read_records(item.records)
        self._records = ItemRecords(self._start)
        self._first: dict[str, tuple[str, dict[str, Any], str]] = {}
        self._begun = Counter[tuple[Kind, int]]()
        self._handed_out: set[int] = set()
        self.credential: str | None = None
        self.last = -1

    @cached_property
    def results(self) -> tuple[str, ...]:
        """What each call of the right course is told. One that a person denies is not made: its place is empty."""
        records = ItemRecords(self._start)
        return tuple(_right(action, records) for action in self.item.actions)

    def begin(self, kind: Kind, step: int) -> int:
        """Count an attempt at a step; return its number, from 1."""
        self._begun[kind, step] += 1
        return self._begun[kind, step]

    def judge(self, answered: Sequence[Answered]) -> Judged:
        """Hold a history against the right course.

        Args:
            answered: The calls in it, the oldest first.
        """
        wrong: list[int] = []
        found: set[int] = set()
        for place, call in enumerate(answered):
            step = self._place(call, place, found)
            if step is None:
                continue
            found.add(step)
            action = self.item.actions[step]
            if action.approval != "deny" and not _equal(call.result, self.results[step]):
                wrong.append(step)
        before = range(min(len(answered), len(self.item.actions)))
        return Judged(tuple(sorted(wrong)), tuple(step for step in before if step not in found))

    def hand_out(self, turn: int) -> None:
        """Take note that the model calls for the action of this turn now."""
        self._handed_out.add(turn)
        self.last = turn

    def step_of(self, name: str, arguments: Mapping[str, Any]) -> int:
        """Return which call of the course this one is.

        It is the one that was handed out last, if it is the same; else the latest before that, which an arm that went
        back does again; else one after it, which is there where two executions of an item run side by side.

        Args:
            name: The tool's.
            arguments: As they came.

        Raises:
            BadCall: the model has never called for it.
        """
        same = [step for step in self._handed_out if _is(self.item.actions[step], name, arguments)]
        if not same:
            raise BadCall(f"the model has not called for {name}({json.dumps(arguments, sort_keys=True)})")
        return max((step for step in same if step <= self.last), default=min(same))

    def do(self, name: str, arguments: Mapping[str, Any], key: str | None) -> Done:
        """Do a tool call: one with an effect once for each idempotency key, and every time where it has none.

        Raises:
            BadCall: the key stands for another call.
        """
        taken = checked(name, arguments)
        if key is not None and key in self._first:
            first, its, result = self._first[key]
            if (first, its) != (name, taken):
                raise BadCall(f"the idempotency key {key!r} stands for another call: {first}")
            return Done(result, applied=False)
        done = self._records.do(name, taken)
        # As at the desk: a refusal is no effect, and is worked out anew each time.
        if key is not None and done.applied:
            self._first[key] = (name, taken, done.result)
        return done

    def _place(self, call: Answered, likely: int, found: set[int]) -> int | None:
        actions = self.item.actions
        # A long history is as it should be in nearly all its places.
        if likely < len(actions) and likely not in found and _is(actions[likely], call.name, call.arguments):
            return likely
        return next(
            (
                step
                for step, action in enumerate(actions)
                if step not in found and _is(action, call.name, call.arguments)
            ),
            None,
        )


def _placed(item: Item, taken: str) -> Item:
    """Return an item whose programs know the address to which they take what they find."""

    def placed(action: Action) -> Action:
        if action.name != code.NAME:
            return action
        program = str(action.arguments["code"]).replace(code.TAKEN, taken)
        return action.model_copy(update={"arguments": {**action.arguments, "code": program}})

    return item.model_copy(update={"actions": tuple(map(placed, item.actions))})


def _right(action: Action, records: ItemRecords) -> str:
    if action.approval == "deny":
        return ""
    if action.result is not None:
        return action.result
    return records.do(action.name, checked(action.name, action.arguments)).result


def _is(action: Action, name: str, arguments: Mapping[str, Any]) -> bool:
    # Compared as values: 600 and 600.0 are one amount.
    return action.name == name and action.arguments == arguments


def _equal(text: str, right: str) -> bool:
    return text == right or _value(text) == _value(right)


def _value(text: str) -> Any:
    """Return what a text says: its JSON, also where that was put into a JSON string once more; else the text."""
    value: Any = text
    while isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            break
    return value
