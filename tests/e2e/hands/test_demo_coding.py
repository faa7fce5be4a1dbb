"""`triptych demo --coding`: three repositories, one box killed, one diff approved; and what it says without Docker."""

from __future__ import annotations

import pytest

from tests.components.sandbox import BRAIN_IMAGE
from tests.e2e.hands.boxes import docker
from tests.e2e.stack import Home

FIELDS = [
    "tasks",
    "applied",
    "boxes_killed",
    "steps",
    "steps_executed_again",
    "approvals",
    "boxes_left",
    "seconds",
    "ui_url",
]


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("docker_alone", "hands_image", "brain_image")
def test_three_repositories_are_mended_though_a_box_dies(home: Home, seed: int) -> None:
    denied = seed % 2
    result = home.json("demo", "--coding", "--exit", "--deny" if denied else "--approve")
    assert list(result) == FIELDS
    assert (result["tasks"], result["applied"]) == (3, 2 if denied else 3)
    assert (result["boxes_killed"], result["approvals"]) == (1, 1)
    assert result["steps"] == 15
    assert (result["steps_executed_again"], result["boxes_left"]) == (0, 0)
    assert docker("ps", "--all", "--quiet") == []
    assert not (home.folder / "up.json").exists(), "the demo has a home of its own, and leaves nothing in the user's"


def test_without_docker_it_says_so_before_anything_is_started(home: Home) -> None:
    said = home.run("demo", "--coding", "--exit", code=2, DOCKER_HOST="unix:///nowhere/docker.sock").stderr
    assert "no Docker Engine answers at unix:///nowhere/docker.sock" in said
    assert "`triptych demo`" in said
    assert "starting" not in said


@pytest.mark.usefixtures("docker_alone", "hands_image")
def test_without_an_image_it_says_how_to_build_it(home: Home) -> None:
    said = home.run("demo", "--coding", "--exit", code=2, TRIPTYCH_BRAIN__IMAGE="no-such-image").stderr
    assert "there is no image no-such-image: docker build --tag triptych-brain" in said
    assert BRAIN_IMAGE in said
