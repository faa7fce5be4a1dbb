"""The tickets of chaos: the same for a seed, each with an order of its own, on both sides of the threshold."""

from __future__ import annotations

from pathlib import Path

from triptych.loop.agents.orders import LIMITS
from triptych.loop.desk import OrderDesk
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.chaos.tickets import approves, cases, records


def test_a_seed_makes_the_same_tickets() -> None:
    assert cases(1, 9) == cases(1, 9) != cases(2, 9)
    assert cases(1, 9)[:5] == cases(1, 5)


def test_each_has_an_order_of_its_own_and_some_need_a_person() -> None:
    of = cases(1, 40)
    assert len({case.order_id for case in of}) == 40
    threshold = ApprovalPolicy().threshold_usd
    for case in of:
        assert [payout.amount > threshold for payout in case.payouts] == [each.needs_person for each in case.payouts]
    kinds = {tuple(payout.needs_person for payout in case.payouts) for case in of}
    assert kinds == {(), (False,), (True,), (False, True)}
    assert {approves(1, case.order_id) for case in of} == {True, False}


def test_the_agent_has_steps_enough() -> None:
    # All but the triage's.
    assert all(case.requests - 1 <= LIMITS.steps for case in cases(1, 8))


def test_the_desk_takes_the_orders(tmp_path: Path) -> None:
    of = cases(1, 8)
    with OrderDesk(f"sqlite:///{tmp_path / 'desk.sqlite'}") as desk:
        desk.load(records(of))
        assert {case.order_id for case in of} <= desk.orders().keys()
