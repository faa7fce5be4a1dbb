"""Which fault meets an attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchmarks.contract import Fault, Kind


class Faults:
    """The faults of a plan, each for the first attempts of its step."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Take the plan's."""
        self._of: dict[tuple[str, Kind, int], list[Fault]] = {}
        for fault in faults:
            self._of.setdefault((fault.item, fault.kind, fault.step), []).append(fault)
        self._struck = Counter[Fault]()

    def take(self, item: str, kind: Kind, step: int) -> Fault | None:
        """Return the fault that this attempt meets, and count it; None: none does. Several come in the plan's order."""
        for fault in self._of.get((item, kind, step), ()):
            if self._struck[fault] < fault.times:
                self._struck[fault] += 1
                return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """Take back that it struck: it could not be done, and is due again at the step's next attempt."""
        self._struck[fault] -= 1


def label(fault: Fault) -> str:
    """Return a fault as the ledger names it."""
    return f"{fault.what}/{fault.when}"
