"""What a brain's container is given, and what not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.errors import ConfigurationError
from triptych.runtime.brains import put_in_force, template, write_environment
from triptych.settings import BrainSettings, Settings


def told(settings: Settings) -> dict[str, str]:
    return {file.name: file.read_text() for file in (settings.brain_folder / "settings").iterdir()}


def test_a_brain_is_told_what_it_needs_and_no_secret_of_the_services(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    given = {
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        "PREFECT_SERVER_DATABASE_PASSWORD": "a secret",
        "ANTHROPIC_API_KEY": "a secret",
        "TRIPTYCH_STORE__SECRET": "a secret",
        "TRIPTYCH_BRAIN__IMAGE": "mine",
        "TRIPTYCH_MODEL": "scripted",
    }
    write_environment(settings, given)
    assert told(settings) == {
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        # Without it the recovery loop takes a run that goes on for dead.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "TRIPTYCH_HOME": str(tmp_path),
        "TRIPTYCH_MODEL": "scripted",
    }
    assert settings.brain_folder.stat().st_mode & 0o777 == 0o700
    (settings.brain_folder / "secrets" / "ANTHROPIC_API_KEY").write_text("the operator's")
    # What is said no more is gone, and what the operator wrote stays.
    write_environment(settings, {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60"})
    assert told(settings) == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60", "TRIPTYCH_HOME": str(tmp_path)}
    assert (settings.brain_folder / "secrets" / "ANTHROPIC_API_KEY").read_text() == "the operator's"


def test_a_template_has_no_variables(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    made = template(Settings(home=tmp_path), [tmp_path / "desk"])
    assert made["variables"]["properties"] == {}
    assert "{{" not in str(made["job_configuration"])
    assert f"{tmp_path}/desk:{tmp_path}/desk" in made["job_configuration"]["volumes"]
    assert not [each for each in made["job_configuration"]["volumes"] if each.startswith(f"{tmp_path}:")]


async def test_without_a_docker_there_is_no_pool_of_brains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for nowhere in (f"unix://{tmp_path}/nowhere.sock", "tcp://127.0.0.1:9"):
        monkeypatch.setenv("DOCKER_HOST", nowhere)
        with pytest.raises(ConfigurationError, match="no Docker Engine answers at"):
            await put_in_force(Settings(home=tmp_path))


@pytest.mark.parametrize("wrong", [{"imge": "x"}, {"ports": [99999]}, {"ports": 8080}, {"memory_mib": 1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BrainSettings(**wrong)
