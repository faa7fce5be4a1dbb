"""What holds for every test: no setting of this machine's user leaks in, and nothing of theirs is touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

_SANDBOX = "tests/e2e/hands/"

_KEEP = {
    "TRIPTYCH_IMAGE_BASE",
    "TRIPTYCH_PROXY_COMMAND",
    "TRIPTYCH_REQUIRE",
    "TRIPTYCH_SAMPLE",
    "TRIPTYCH_SCREENSHOTS",
    "TRIPTYCH_SEED",
    "TRIPTYCH_TAU_RETAIL",
}

# Before anything imports Prefect, which reads its home when it is imported. A provider's key is removed as well: no
# test can spend money by accident.
for _name in list(os.environ):
    if _name not in _KEEP and (_name.startswith(("PREFECT_", "TRIPTYCH_")) or _name.endswith("_API_KEY")):
        del os.environ[_name]
_home = tempfile.TemporaryDirectory(prefix="triptych-tests-")
os.environ |= {
    "DO_NOT_TRACK": "1",
    "PREFECT_HOME": str(Path(_home.name, "prefect")),
    "TRIPTYCH_HOME": str(Path(_home.name, "triptych")),
    # A flow that runs without the `prefect_server` fixture fails at once, instead of starting a server on its own.
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
}

pytest_plugins = [
    "pytester",
    "tests.components",
    "tests.components.browser",
    "tests.components.machine",
    "tests.components.postgres",
    "tests.components.prefect_server",
    "tests.components.s3",
    "tests.components.sandbox",
    "tests.e2e.hands.boxes",
    "tests.e2e.hands.egress",
]

# Two slow cores are no reason to fail a property.
hypothesis_settings.register_profile("triptych", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("triptych")


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of everything random in a run; CI gives a new one each day and commit, `TRIPTYCH_SEED` repeats it."""
    return int(os.environ.get("TRIPTYCH_SEED", "0"))


class _OneForDocker(LoadFileScheduling):
    """Divides by file, but gives the files of the sandbox to one process: they would wait for one another's Docker."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _SANDBOX if file.startswith(_SANDBOX) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Divide tests among processes; where another way than by file was asked for, in that way."""
    return _OneForDocker(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: were that last, every other process of `make test` would wait for its end."""
    items.sort(
        key=lambda item: (
            "e2e" not in item.path.parts,
            not item.nodeid.startswith(_SANDBOX),
            "up" not in getattr(item, "fixturenames", ()),
        )
    )


def pytest_report_header() -> list[str]:
    """Say what a reader of the log needs to repeat the run."""
    return [f"triptych: {name}={os.environ.get(name, '')}" for name in ("TRIPTYCH_SEED", "TRIPTYCH_REQUIRE")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what code in a box tried, test by test; see `tests/e2e/hands`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, what in report.user_properties:
            if name == "tried":
                terminalreporter.write_line(f"tried in a box, in vain: {what}")
