"""A required component is never skipped, however the skip is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components import COMPONENTS, Component

NAMES_THE_COMPONENT = {
    "call": "from tests.components import require\ndef test_it(): require('nothing')",
    "fixture": (
        "import pytest\nfrom tests.components import require\n"
        "@pytest.fixture\ndef it(): return require('nothing')\ndef test_it(it): pass"
    ),
    "by hand": "import pytest\ndef test_it(): pytest.skip('component nothing is missing')",
}
NAMES_NONE = {
    "reason": "import pytest\ndef test_it(): pytest.skip('no engine here')",
    "mark": "import pytest\n@pytest.mark.skip\ndef test_it(): pass",
    "condition": "import pytest\n@pytest.mark.skipif(True, reason='not today')\ndef test_it(): pass",
    "import": "import pytest\npytest.importorskip('no_such_module')\ndef test_it(): pass",
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n  def test_it(self): self.skipTest('no')",
}
EVERY_SKIP = NAMES_THE_COMPONENT | NAMES_NONE


@pytest.fixture(autouse=True)
def components(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(COMPONENTS, "nothing", Component(lambda: None, "it does not exist"))
    monkeypatch.setitem(COMPONENTS, "something", Component(lambda: Path("here"), "it is always there"))
    monkeypatch.delenv("TRIPTYCH_REQUIRE", raising=False)


def run(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=source)
    return pytester.runpytest_inprocess("-p", "tests.components", "-p", "no:asyncio")


def outcome(pytester: pytest.Pytester, source: str) -> str:
    result = run(pytester, source)
    (kind,) = result.parseoutcomes()
    # A module that skips itself leaves pytest with nothing collected.
    good = result.ret in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    assert good == (kind == "skipped")
    return kind


@pytest.mark.parametrize("source", EVERY_SKIP.values(), ids=EVERY_SKIP)
def test_without_a_requirement_a_skip_is_a_skip(pytester: pytest.Pytester, source: str):
    assert outcome(pytester, source) == "skipped"


@pytest.mark.parametrize("source", EVERY_SKIP.values(), ids=EVERY_SKIP)
def test_a_required_component_is_never_skipped(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str):
    monkeypatch.setenv("TRIPTYCH_REQUIRE", "something, nothing")
    assert outcome(pytester, source) in {"failed", "errors"}


@pytest.mark.parametrize("source", NAMES_THE_COMPONENT.values(), ids=NAMES_THE_COMPONENT)
def test_another_component_may_still_be_missing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str
):
    monkeypatch.setenv("TRIPTYCH_REQUIRE", "something")
    assert outcome(pytester, source) == "skipped"


def test_an_expected_failure_is_no_skip(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRIPTYCH_REQUIRE", "something")
    result = run(pytester, "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False")
    assert result.parseoutcomes() == {"xfailed": 1}


def test_an_unknown_requirement_stops_the_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRIPTYCH_REQUIRE", "dokcer")
    result = run(pytester, "def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*dokcer*known are*"])
