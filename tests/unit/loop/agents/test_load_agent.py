"""Agents by name: ours, a user's own, and what is said about one that does not fit."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from pydantic_ai import DeferredToolRequests
from pydantic_ai.models.test import TestModel

from triptych.errors import ConfigurationError
from triptych.loop.agents import OURS, load_agent
from triptych.loop.desk import OrderDesk
from triptych.records import Resolution
from triptych.samples import SAMPLES
from triptych.settings import Settings

OWN = """
from contextlib import nullcontext
from pydantic_ai import Agent
from triptych.loop.limits import Limits

NAME = "own"
LIMITS = Limits(steps=2)

def build_agent(model, *, capabilities=()):
    return Agent(model, name=NAME, capabilities=capabilities)

def open_deps(settings):
    return nullcontext()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `shop_agents` that can be imported, for modules of a user's own."""
    folder = tmp_path / "shop_agents"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    for name in [each for each in sys.modules if each.partition(".")[0] == "shop_agents"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


@pytest.mark.parametrize(("name", "steps", "tools"), [("orders", 5, 2), ("retail", 30, 16)])
def test_ours(name: str, steps: int, tools: int) -> None:
    module = load_agent(name)
    assert (module.NAME, module.LIMITS.steps) == (name, steps)
    agent = module.build_agent(TestModel())
    assert agent.name == name
    assert agent.output_type == [Resolution, DeferredToolRequests]
    (own, *others) = agent.toolsets
    named = [toolset for toolset in (own, *others) if toolset.id == name]
    assert len(named) == 1
    assert len(getattr(named[0], "tools", {})) == tools


def test_siblings_offer_the_same() -> None:
    assert set(OURS) == {"orders", "retail"}
    offers = [getattr(load_agent(name), "__all__", None) for name in OURS]
    assert offers == [["LIMITS", "NAME", "build_agent", "open_deps"]] * 2


def test_a_users_own(package: Path) -> None:
    (package / "own.py").write_text(OWN)
    module = load_agent("shop_agents.own")
    assert (module.NAME, module.LIMITS.steps) == ("own", 2)
    assert module.build_agent(TestModel()).name == "own"
    with module.open_deps(Settings()) as deps:
        assert deps is None


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("NAME", "lacks NAME: a module needs NAME, LIMITS, build_agent and open_deps"),
        ("LIMITS", "lacks LIMITS"),
        ("build_agent", "lacks build_agent"),
        ("open_deps", "lacks open_deps"),
    ],
)
def test_what_is_missing_is_named(package: Path, without: str, said: str) -> None:
    (package / "own.py").write_text(f"{OWN}\ndel {without}\n" if without != "NAME" else OWN.replace("NAME", "OTHER"))
    with pytest.raises(ConfigurationError, match=said):
        load_agent("shop_agents.own")


def test_what_is_wrong_is_named(package: Path) -> None:
    (package / "own.py").write_text(f"{OWN}\nLIMITS = 5\nNAME = ''\n")
    with pytest.raises(ConfigurationError, match="wrong kind of NAME, LIMITS: NAME is a text, LIMITS a triptych"):
        load_agent("shop_agents.own")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("returns", "there is no agent 'returns': use orders or retail, or the dotted path of a module"),
        ("", "there is no agent ''"),
        (".own", "there is no agent '.own'"),
        ("shop_agents.own:build_agent", "there is no agent"),
        ("shop_agents.nowhere", "cannot be found: no module named 'shop_agents.nowhere'"),
        ("no_such_package.own", "cannot be found: no module named 'no_such_package'"),
        ("shop_agents.needy", "cannot be imported: No module named 'not_installed'"),
        ("shop_agents.stale", "cannot be imported: cannot import name 'gone'"),
    ],
)
def test_a_name_that_leads_nowhere(package: Path, name: str, said: str) -> None:
    (package / "needy.py").write_text("import not_installed\n")
    (package / "stale.py").write_text("from triptych.errors import gone\n")
    with pytest.raises(ConfigurationError, match=said):
        load_agent(name)


@pytest.mark.parametrize("name", OURS)
def test_deps_are_open_for_the_run(name: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'desk.sqlite'}"
    with OrderDesk(url) as desk:
        desk.load(SAMPLES)
    settings = Settings(desk_url=url, witness=tmp_path / "witness.jsonl")
    with load_agent(name).open_deps(settings) as deps:
        assert deps.desk.order("#T1001") is not None
        assert deps.witness.path == tmp_path / "witness.jsonl"
    with load_agent(name).open_deps(Settings(desk_url=url)) as deps:
        assert deps.witness is None


def test_an_empty_desk_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    settings = Settings(desk_url=f"sqlite:///{tmp_path / 'desk.sqlite'}")
    with (
        pytest.raises(ConfigurationError, match=r"holds no records yet: load a folder of users\.json"),
        load_agent("orders").open_deps(settings),
    ):
        pass
