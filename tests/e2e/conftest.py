from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stack import Home, Up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The stack, up for the session; when it goes down nothing of it may be left."""
    home = Home(tmp_path_factory.mktemp("home"))
    started = home.json("up", "--concurrency", "3")
    pids = [service["pid"] for service in started["services"]]
    services = [psutil.Process(pid) for pid in pids]
    family = [*services, *(child for each in services for child in each.children(recursive=True))]
    yield Up(folder=home.folder, api_url=started["api_url"])
    assert home.json("down")["stopped"] == [service["name"] for service in reversed(started["services"])]
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert home.json("down")["stopped"] == []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Take the stack down after the last test that uses it: idle, it takes a tenth of a processor from the others."""
    if nextitem is not None and _uses_the_stack(item) and not _uses_the_stack(nextitem):
        assert isinstance(item, pytest.Function)
        request: Any = item._request  # pyright: ignore[reportPrivateUsage]
        for each in item._fixtureinfo.name2fixturedefs["up"]:  # pyright: ignore[reportPrivateUsage]
            each.finish(request)


def _uses_the_stack(item: pytest.Item) -> bool:
    return "up" in getattr(item, "fixturenames", ())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which nothing is up."""
    return Home(tmp_path)
