"""The benchmark's coding agents, some of whose processes are killed: what the layered arm's code cannot take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.contract import Trial
from benchmarks.harness import containers
from benchmarks.harness.profiles import Profile, Spec
from benchmarks.harness.rounds import require as require_all
from benchmarks.harness.rounds import run_rounds
from benchmarks.harness.sampling import Sampler
from benchmarks.scoring import Scored, score
from tests.components import require
from tests.e2e.hands.boxes import docker
from tests.e2e.stack import poll

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ARMS = ("monolith", "layered")
ITEMS = 2


@pytest.fixture(scope="module")
def trials(seed: int, hands_image: str, docker_alone: None) -> list[Trial]:
    require("rivals")
    profile = Profile(ARMS, rounds=1, specs=(Spec("coding", "kills", ITEMS),))
    require_all(profile)
    return list(run_rounds(profile, seed % 1000, print))


@pytest.fixture(scope="module")
def frames(trials: list[Trial]) -> Scored:
    assert [trial.harness_failure for trial in trials] == [None, None]
    return score(trials, seed=1)


def test_all_are_done_with_their_effects_made_once(frames: Scored) -> None:
    assert list(frames.items["state"]) == ["done"] * len(ARMS) * ITEMS
    assert frames.items["killed"].sum() > 0
    assert list(frames.effects["applied"]) == [1] * len(ARMS) * ITEMS
    assert frames.effects["success"].all()


def test_code_takes_the_credential_of_the_one_that_runs_it_by_itself(frames: Scored) -> None:
    taken = frames.items.groupby("arm")["credential_taken"].all().to_dict()
    assert taken == {"monolith": True, "layered": False}


@pytest.fixture
def stranger(hands_image: str, docker_alone: None) -> Iterator[str]:
    """A container that nobody ends."""
    (container,) = docker("run", "--detach", "--entrypoint", "sleep", hands_image, "300")
    yield container
    docker("rm", "--force", container)


def test_one_that_stays_is_counted(stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = containers.present()
    assert there is not None
    monkeypatch.setattr(containers, "LEFT_SECONDS", 1.0)
    assert containers.left_behind(there) == 0
    assert containers.left_behind(there - {stranger}) == 1


def test_what_runs_in_one_is_the_arms_where_it_has_containers(hands_image: str, docker_alone: None) -> None:
    with Sampler("nobody", containers=containers.present()) as ours, Sampler("nobody") as nobodys:
        (container,) = docker("run", "--detach", "--entrypoint", "sleep", hands_image, "300")
        try:
            poll("what is in the container", lambda: ours.usage().peak_memory_mib > 0)
        finally:
            docker("rm", "--force", container)
    assert nobodys.usage().peak_memory_mib == 0


def test_no_container_is_left(frames: Scored) -> None:
    assert list(frames.use["containers_left"]) == [0, 0]
