"""The smallest agent, in a process that ends itself with SIGKILL around an approval: at one point, once a flow run.

A run of `handle-ticket` is told by its environment where, under `DIES_AT`. The hooks are all on the outside, in the
deps that the tools get; the product has none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from prefect.exceptions import Pause

from tests.resume.kill_switch import die
from triptych.loop.agents.orders import LIMITS, NAME, build_agent
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import Applied, Change, OrderDesk, Records
from triptych.loop.witness import Witness, WitnessEvent
from triptych.settings import Settings

__all__ = ["LIMITS", "NAME", "build_agent", "open_deps"]

DIES_AT = "TESTS_DIES_AT"
TOOL = "refund"
"""What is asked about."""

Point: TypeAlias = Literal[
    "suspended",  # the run is Suspended, and its process not gone yet
    "answered",  # the answer is in, and not recorded
    "decided",  # the decision is recorded, the call that it lets through not begun
    "started",  # the call has begun
    "uncommitted",  # inside the transaction that makes the effect
    "applied",  # the effect is made, the call has not returned
    "finished",  # the call has returned, and has no checkpoint
    "ended",  # all is done but the report
]
_LINES: Mapping[WitnessEvent, Point] = {
    "tool.started": "started",
    "effect.applied": "applied",
    "tool.finished": "finished",
}


class _Death:
    def __init__(self, settings: Settings) -> None:
        self._point = os.environ.get(DIES_AT)
        run = os.environ["PREFECT__FLOW_RUN_ID"]
        self._mark = settings.folder / "died" / run
        self._ledger = settings.folder / "checkpoints" / "approvals" / run

    def reach(self, point: Point) -> None:
        if self._point == point and not self._mark.exists():
            self._mark.parent.mkdir(exist_ok=True)
            self._mark.touch()
            die()

    @property
    def is_asked(self) -> bool:
        return any(self._ledger.glob("*/request.json"))

    @property
    def is_decided(self) -> bool:
        return any(self._ledger.glob("*/decision.json"))


class _Witness(Witness):
    def __init__(self, path: Path | str, death: _Death) -> None:
        super().__init__(path)
        self._death = death

    def write(self, *, event: WitnessEvent, run: str, name: str, key: str) -> None:
        if (name, event) == (TOOL, "tool.started"):
            self._death.reach("decided")
        super().write(event=event, run=run, name=name, key=key)
        if name == TOOL:
            self._death.reach(_LINES[event])


class _Desk(OrderDesk):
    def __init__(self, url: str, death: _Death) -> None:
        super().__init__(url)
        self._death = death

    def apply(
        self, *, key: str, tool: str, arguments: Mapping[str, Any], change: Callable[[Records], Change]
    ) -> Applied:
        def watched(records: Records) -> Change:
            done = change(records)
            self._death.reach("uncommitted")
            return done

        return super().apply(key=key, tool=tool, arguments=arguments, change=watched)


@contextmanager
def open_deps(settings: Settings) -> Generator[DeskDeps]:
    death = _Death(settings)
    if death.is_asked and not death.is_decided:
        death.reach("answered")
    assert settings.witness is not None
    with _Desk(settings.resolved_desk_url, death) as desk:
        try:
            yield DeskDeps(desk=desk, witness=_Witness(settings.witness, death))
        except Pause:
            death.reach("suspended")
            raise
    death.reach("ended")
