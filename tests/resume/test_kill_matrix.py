"""SIGKILL at every point of a run of six steps, real processes, both stores; then the same flow run once more.

Here runs a sample with a kill of each class, half of them in each store, another one for every `TRIPTYCH_SEED`.
`python -m tests.resume.soak` runs them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.components.prefect_server import PrefectServer
from tests.components.s3 import S3Server
from tests.resume.arena import STORES, Arena, Outcome, differences, with_settings
from tests.resume.six_step_run import ALL_KILLS, CALLS, EFFECTS, REQUESTS, Kill, expected_counts, sample

# At collection, so that each kill is a test with a name; the fixture `seed` says the same.
SAMPLE = sample(int(os.environ.get("TRIPTYCH_SEED", "0")), STORES)

# Two at a time wait for each other's processes; nothing here measures time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def arena(
    prefect_server: PrefectServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    arena = Arena(prefect_server, s3_server, tmp_path_factory.mktemp("kill-matrix"))
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def undisturbed(arena: Arena) -> Outcome:
    return arena.undisturbed("folder")


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, arena: Arena, undisturbed: Outcome
) -> Iterator[dict[tuple[str, Kill], Future[Outcome]]]:
    """All selected kills, two at a time: one process dies while another one finishes."""
    wanted = {
        (item.callspec.params["store"], item.callspec.params["kill"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_a_killed_run_ends_as_if_undisturbed.__name__
    }
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(with_settings(arena.killed_and_resumed), *case) for case in SAMPLE if case in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("store", "kill"), SAMPLE, ids=str)
def test_a_killed_run_ends_as_if_undisturbed(
    store: str, kill: Kill, outcomes: dict[tuple[str, Kill], Future[Outcome]], undisturbed: Outcome
) -> None:
    assert differences(outcomes[store, kill].result(), undisturbed, kill) == []


def test_the_undisturbed_run_is_what_the_matrix_takes_it_for(undisturbed: Outcome) -> None:
    assert differences(undisturbed, undisturbed, None) == []
    assert undisturbed.checkpoints == len(REQUESTS) + len(CALLS)
    assert undisturbed.result["spending"]["steps"] == len(REQUESTS)
    assert undisturbed.result["spending"]["cost_usd"] > 0
    assert set(undisturbed.result["tool_results"]) >= {step.key for step in CALLS}


def test_both_stores_see_the_same_run(arena: Arena, undisturbed: Outcome) -> None:
    assert differences(arena.undisturbed("s3"), undisturbed, None) == []


def test_every_class_of_kill_is_in_the_sample() -> None:
    for seed in (0, 1):
        assert {kill.kill_class for _, kill in sample(seed, STORES)} == {kill.kill_class for kill in ALL_KILLS}
    # The next day's seed takes the class to the other store.
    classes = [{(where, kill.kill_class) for where, kill in sample(seed, STORES)} for seed in (6, 7)]
    assert not classes[0] & classes[1]


# What makes the zeros above something else: without it, a matrix that sees nothing would look the same.


def test_what_has_no_checkpoint_is_executed_again(arena: Arena) -> None:
    run = arena.new_run("folder")
    run.execute(Kill("request:6", "before"))
    assert run.delete_checkpoints_but_the_first() == len(REQUESTS) - 2 + len(CALLS)
    # Without a person's word the run would stop here: its store is not what it was.
    run.let_lost_steps_be_done_again()
    run.reschedule()
    run.execute()
    outcome = run.outcome()
    again = {key: (2, 2) for key in outcome.counts if key not in ("request:1", "request:6")}
    assert outcome.counts == {**expected_counts(None), **again}
    # Even then: the backend knows the keys, and they are the same.
    assert outcome.effects == dict.fromkeys(EFFECTS, 1)


def test_where_the_backend_does_not_honour_the_key_the_effect_is_doubled(arena: Arena) -> None:
    kill = Kill(EFFECTS[0], "committed")
    run = arena.new_run("folder", forgets_keys=True)
    run.execute(kill)
    run.reschedule()
    run.execute()
    # The call beside the killed one had made its effect and not returned, so it is executed again as well.
    assert run.outcome().effects == {**dict.fromkeys(EFFECTS, 1), EFFECTS[0]: 2, EFFECTS[1]: 2}
