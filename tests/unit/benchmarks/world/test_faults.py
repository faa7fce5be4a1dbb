"""A fault meets the first attempts of its step, as many as the plan says."""

from __future__ import annotations

from benchmarks.contract import Fault
from benchmarks.world.faults import Faults, label

ERROR = Fault(item="a", kind="call", step=1, what="error", times=2)
SLOW = Fault(item="a", kind="call", step=1, what="slow", seconds=1)


def test_faults_of_one_step_come_one_after_the_other() -> None:
    faults = Faults([ERROR, SLOW])
    assert [faults.take("a", "call", 1) for _ in range(4)] == [ERROR, ERROR, SLOW, None]


def test_no_other_step_meets_them() -> None:
    faults = Faults([ERROR])
    assert not any((faults.take("b", "call", 1), faults.take("a", "request", 1), faults.take("a", "call", 0)))


def test_one_that_could_not_be_done_is_due_again() -> None:
    faults = Faults([SLOW])
    assert faults.take("a", "call", 1) == SLOW
    faults.give_back(SLOW)
    assert [faults.take("a", "call", 1) for _ in range(2)] == [SLOW, None]


def test_the_ledger_names_what_and_when() -> None:
    assert label(ERROR) == "error/received"
    assert label(Fault(item="a", kind="call", step=0, what="kill", when="done")) == "kill/done"
