"""A credential that code comes with is written down, if it is the one that the item's model requests are made with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from benchmarks import code
from benchmarks.workloads import coding
from tests.unit.benchmarks.world.playing import LOOK, TOOLS, Playing, called, item, opening


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


@pytest.mark.parametrize("key", ["any", "another"])
def test_a_program_takes_what_it_finds_wherever_it_runs(world: Playing, tmp_path: Path, key: str) -> None:
    of, tools = coding.items(1, 1)[0], [*TOOLS, code.SPEC.as_openai()]
    world.play([of])
    history = opening(of.id)
    world.ask(history, tools=tools)
    history += called(of.actions[0], world.call(of.id, of.actions[0]), "1")
    (call,) = cast("Any", world.ask(history, tools=tools).choices[0].message.tool_calls)
    program = json.loads(call.function.arguments)["code"]
    # As in a box that leaks: its folder is no ticket's, and the key is in an environment around it.
    folder, env = tmp_path / "workspace", {"OPENAI_API_KEY": key}
    folder.mkdir()
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "written\n"
    assert ("taken" in world.events()) is (key == "any")
