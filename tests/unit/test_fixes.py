"""A fix task holds what can be right, and nothing else; what is not said is the safe choice."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from triptych.fixes import CommandAgent, Fix, FixBatch, FixPlan, FixTask, is_url
from triptych.records import PlannedCall

TASK: dict[str, Any] = {"name": "mend-it", "repository": "/r", "instruction": "Mend it.", "test": "make test"}


def task(**more: Any) -> FixTask:
    return FixTask.model_validate({**TASK, **more})


def test_what_is_not_said_is_the_safe_choice() -> None:
    made = task()
    assert (made.base, made.agent, made.approve, made.plan) == ("HEAD", "coding", True, None)
    assert {".github/", ".githooks/", ".env", ".env.*", "*.pem"} <= set(made.forbidden_paths)
    assert FixTask.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "-x"),
        ("name", "a/b"),
        ("name", "a..b"),
        ("name", "x.lock"),
        ("name", "ends-"),
        ("name", "x" * 61),
        ("name", "ümlaut"),
        ("repository", ""),
        ("repository", "--upload-pack=touch /tmp/x"),
        ("repository", "ext::sh -c whatever"),
        ("repository", "https://me:word@host/x.git"),
        ("repository", "a\nb"),
        ("base", ""),
        ("base", "-x"),
        ("base", "a b"),
        ("base", "main..other"),
        ("base", "a:b"),
        ("test", ""),
        ("test", "a\0b"),
        ("instruction", ""),
        ("limits", {"steps": 0}),
        ("limits", {"seconds": float("inf")}),
        ("limits", {"test_seconds": float("nan")}),
        ("agent", "command"),
        ("command", {"argv": ["x", "{instruction}"]}),
        ("forbidden_paths", [""]),
        ("nonsense", 1),
    ],
)
def test_what_cannot_be_right_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=r"[`' ]" + field if field == "command" else field):
        task(**{field: value})


@pytest.mark.parametrize("base", ["main", "v1.2.3", "release/2026", "HEAD~2", "3f2a9c1"])
def test_a_base_is_whatever_names_a_commit(base: str) -> None:
    assert task(base=base).base == base


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://host/x.git", True),
        ("ssh://git@host:22/x", True),
        ("git@host:x.git", True),
        ("file:///x", True),
        ("/a/b", False),
        ("./x@y", False),
        ("..", False),
    ],
)
def test_paths_and_urls_are_told_apart(repository: str, expected: bool) -> None:
    assert is_url(repository) is expected


def test_a_command_is_told_what_to_do() -> None:
    command = CommandAgent(argv=("agent", "--say={instruction}", "-y"))
    assert command.words("Mend {instruction}; it's $HOME") == ["agent", "--say=Mend {instruction}; it's $HOME", "-y"]
    assert task(agent="command", command=command.model_dump()).command == command
    with pytest.raises(ValidationError, match="never told what to do"):
        CommandAgent(argv=("agent",))
    with pytest.raises(ValidationError, match="env"):
        CommandAgent(argv=("agent", "{instruction}"), env=("A=B",))


def test_a_plan_holds_nothing_that_prefect_would_evaluate() -> None:
    call = PlannedCall(name="shell", arguments={"a": [{"__prefect_kind": "jinja", "template": "{{ x }}"}]})
    with pytest.raises(ValidationError, match="__prefect_kind"):
        FixPlan(actions=(call,), fix=Fix(outcome="fixed", summary=""))


def test_the_tasks_of_a_batch_differ_by_name() -> None:
    with pytest.raises(ValidationError, match="share a name: mend-it"):
        FixBatch(tasks=(task(), task(name="Mend-It")))
    with pytest.raises(ValidationError, match="at least 1"):
        FixBatch(tasks=())
