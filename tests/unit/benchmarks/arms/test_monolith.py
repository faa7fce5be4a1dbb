"""A LangGraph server goes on from its threads' last checkpoints; a crash of it is one for all that is under way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import shop
from benchmarks.contract import Fault
from tests.components import require
from tests.unit.benchmarks.arms.arena import SLOW, Serve, approval_item, refund_item, version


@pytest.fixture(autouse=True)
def rivals() -> None:
    """LangGraph is there, or the test is skipped."""
    require("rivals")


def test_undisturbed_every_step_is_done_once(serve: Serve) -> None:
    with serve("monolith", [refund_item("a"), refund_item("b")]) as arena:
        arena.submit()
        arena.done()
        for id in ("a", "b"):
            assert arena.times(id, "request") == [1, 1, 1, 1]
            assert arena.times(id, "call") == [1, 1, 1]
            assert arena.effects(id) == 1
            assert arena.corrupted(id) == []


def test_a_kill_repeats_no_more_than_the_step_that_each_item_was_at(serve: Serve) -> None:
    kill = Fault(item="a", kind="call", step=1, what="kill", when="done")
    with serve("monolith", [refund_item(id) for id in "abcd"], kill, pace=SLOW) as arena:
        arena.submit()
        arena.done()
        assert len(arena.lines("a", event="killed")) == 1
        assert arena.times("a", "request") == [1, 1, 1, 1]
        assert arena.times("a", "call") == [1, 2, 1]
        for id in "abcd":
            assert arena.effects(id) == 1
            assert arena.corrupted(id) == []
            # All were in the one process. Of each the step that was under way is done again, and nothing before it.
            assert sum(arena.times(id, "request") + arena.times(id, "call")) <= 8


@pytest.mark.slow
def test_kills_lose_no_step_before_them(serve: Serve) -> None:
    kills = [
        Fault(item="a", kind="request", step=0, what="kill", when="done"),
        Fault(item="a", kind="call", step=1, what="kill"),
        Fault(item="a", kind="request", step=3, what="kill", when="done"),
    ]
    with serve("monolith", [refund_item("a")], *kills) as arena:
        arena.submit()
        arena.done()
        assert len(arena.lines("a", event="killed")) == 3
        assert arena.times("a", "request") == [2, 1, 1, 2]
        assert arena.times("a", "call") == [1, 2, 1]
        assert arena.effects("a") == 1


async def test_a_crash_between_a_steps_result_and_its_checkpoint_loses_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from benchmarks.arms import monolith

    class Dying(AsyncSqliteSaver):
        async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
            # After the input come the request and then the call, whose result is written by now.
            if metadata["step"] == 2:
                raise OSError("the machine has lost its power")
            return await super().aput(config, checkpoint, metadata, new_versions)

    with serve("monolith", [refund_item("a")]) as arena:
        monkeypatch.setenv("MODEL_URL", arena.place.model_url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        job, specs = arena.job("a"), shop.tools(arena.job("a").shop_url)
        for kind in (Dying, AsyncSqliteSaver):
            async with kind.from_conn_string(str(tmp_path / "checkpoints")) as checkpointer:
                threads = monolith.Threads(monolith.build_graph("Version 1.", specs, checkpointer))
                running = threads.run("a", {"instruction": job.instruction, "shop_url": job.shop_url})
                if kind is Dying:
                    with pytest.raises(OSError, match="lost its power"):
                        await running
                else:
                    assert await running == {"answer": arena.items["a"].answer}
        assert arena.times("a", "request") == [1, 1, 1, 1]
        assert arena.times("a", "call") == [1, 1, 1]


@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_goes_on_from_where_it_was_asked_for(serve: Serve, approve: bool) -> None:
    with serve("monolith", [approval_item("a", "approve" if approve else "deny")]) as arena:
        arena.submit()
        look = arena.until("a", "waiting")
        assert look.asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
        assert arena.effects("a") == 0
        arena.decide("a", approve)
        arena.done()
        assert arena.effects("a") == approve
        assert arena.times("a", "request") == [1, 1, 1, 1]
        assert arena.corrupted("a") == []


def test_a_waiting_item_outlives_a_restart(serve: Serve) -> None:
    with serve("monolith", [approval_item("a", "approve")]) as arena:
        arena.submit()
        look = arena.until("a", "waiting")
        assert set(arena.served.restart()) == {"kill", "start"}
        assert arena.look("a") == look
        arena.decide("a", True)
        arena.done()
        assert arena.times("a", "request") == [1, 1, 1, 1]
        assert arena.effects("a") == 1


def test_a_decision_is_kept_through_a_kill_in_the_approved_call(serve: Serve) -> None:
    kill = Fault(item="a", kind="call", step=1, what="kill", when="done")
    with serve("monolith", [approval_item("a", "approve")], kill) as arena:
        arena.submit()
        arena.until("a", "waiting")
        arena.decide("a", True)
        # It would be seen waiting if it asked again, which `done` does not wait through.
        arena.done()
        assert arena.times("a", "request") == [1, 1, 1, 1]
        assert arena.times("a", "call") == [1, 2, 1]
        assert arena.effects("a") == 1


@pytest.mark.slow
def test_failures_of_the_model_and_of_tools_are_retried(serve: Serve) -> None:
    faults = [
        Fault(item="a", kind="request", step=0, what="rate_limit"),
        Fault(item="a", kind="request", step=1, what="error", times=2),
        Fault(item="a", kind="call", step=0, what="error", times=2),
        Fault(item="a", kind="call", step=1, what="timeout", when="done"),
        Fault(item="a", kind="call", step=2, what="timeout"),
    ]
    with serve("monolith", [refund_item("a")], *faults) as arena:
        arena.submit()
        arena.done()
        assert arena.times("a", "request") == [2, 3, 1, 1]
        assert arena.times("a", "call") == [3, 2, 2]
        assert arena.effects("a") == 1
        assert arena.corrupted("a") == []


@pytest.mark.slow
def test_a_run_that_goes_on_failing_is_given_up(serve: Serve) -> None:
    with serve("monolith", [refund_item("a")], Fault(item="a", kind="call", step=0, what="error", times=99)) as arena:
        arena.submit()
        look = arena.until("a", "failed")
        assert look.reason is not None
        assert "ShopUnavailable" in look.reason
        # Three asks of the client, three attempts of the node in each; no request is repeated.
        assert arena.times("a", "call") == [9, 0, 0]
        assert arena.times("a", "request") == [1, 0, 0, 0]


def test_a_deploy_repeats_no_step(serve: Serve) -> None:
    with serve("monolith", [refund_item(id) for id in "abcd"], pace=SLOW) as arena:
        arena.submit("a", "b", "c")
        arena.until_begun("a", "request", 1)
        version(arena.place, 2)
        assert set(arena.served.deploy()) == {"drain", "start"}
        arena.submit("d")
        arena.done()
        assert arena.versions("a") == {"1", "2"}
        assert arena.versions("d") == {"2"}
        for id in "abcd":
            assert arena.times(id, "request") == [1, 1, 1, 1]
            assert arena.times(id, "call") == [1, 1, 1]


def test_an_outage_of_the_database_is_waited_out(serve: Serve) -> None:
    with serve("monolith", [refund_item("a")], pace=SLOW) as arena:
        arena.submit()
        arena.until_begun("a", "request", 0)
        arena.served.store_outage(3)
        # Nothing was written meanwhile, so nothing went on.
        assert arena.times("a", "call")[1] == 0
        arena.done()
        assert arena.effects("a") == 1


def test_what_is_under_way_ends_with_the_server(serve: Serve) -> None:
    silence = Fault(item="a", kind="request", step=0, what="timeout")
    with serve("monolith", [refund_item("a")], silence) as arena:
        arena.submit()
        arena.until_begun("a", "request", 0)
        assert arena.processes() == 1
        ending = time.monotonic()
    # The thread would have waited for its model for half a minute.
    assert time.monotonic() - ending < 20
