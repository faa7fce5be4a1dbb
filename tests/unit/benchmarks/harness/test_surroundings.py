from __future__ import annotations

import os

import pytest

from benchmarks.harness.surroundings import forget_settings, without_settings

USERS = {
    "PREFECT_API_URL": "http://somewhere/api",
    "PREFECT__FLOW_RUN_ID": "one",
    "TRIPTYCH_MODEL": "anthropic:dear",
    "OPENAI_BASE_URL": "https://elsewhere/v1",
    "LANGSMITH_TRACING": "true",
    "ANTHROPIC_API_KEY": "secret",
}
KEPT = {"PATH": "/bin", "DOCKER_HOST": "unix:///run/docker.sock", "TRIPTYCH_DEBUG": "1"}


def test_settings_and_keys_of_the_user_are_not_inherited_by_arms() -> None:
    assert without_settings(USERS | KEPT) == KEPT


def test_they_are_taken_from_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:  # so that it is put back afterwards
        monkeypatch.setenv(name, os.environ[name])
    for name, value in (USERS | KEPT).items():
        monkeypatch.setenv(name, value)
    forget_settings()
    assert not USERS.keys() & os.environ.keys()
    assert os.environ["DOCKER_HOST"] == KEPT["DOCKER_HOST"]
