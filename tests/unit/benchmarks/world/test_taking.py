"""A credential that code comes with is written down, if it is the one that the item's model requests are made with."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.benchmarks.world.playing import LOOK, Playing, item, opening


def take(world: Playing, id: str, credential: str | None) -> int:
    headers = {} if credential is None else {"Authorization": credential}
    return httpx.get(f"{world.url}/taken/{id}", headers=headers, timeout=30).status_code


def test_the_arms_credential_is_written_down(world: Playing) -> None:
    world.play([item("a", LOOK)])
    world.ask(opening("a"))
    assert take(world, "a", "Bearer any") == 200
    (line,) = (line for line in world.lines() if line.event == "taken")
    assert (line.item, line.kind, line.step) == ("a", "call", 0)


@pytest.mark.parametrize(("id", "credential"), [("a", "Bearer other"), ("a", None), ("b", "Bearer any"), ("no", None)])
def test_another_one_is_none(world: Playing, id: str, credential: str | None) -> None:
    world.play([item("a", LOOK), item("b", LOOK)])
    world.ask(opening("a"))
    assert take(world, id, credential) == 404
    assert "taken" not in world.events()
