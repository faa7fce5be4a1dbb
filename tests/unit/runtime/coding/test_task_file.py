"""A task file is read whole: all that is wrong in it is told at once, with its line and how to mend it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from triptych.errors import ConfigurationError
from triptych.fixes import FORBIDDEN, FixBatch, FixLimits
from triptych.runtime.coding.task_file import MAX_TASKS, load_task_file
from triptych.yaml_file import MAX_BYTES, MAX_NODES


def read(folder: Path, text: str | bytes) -> FixBatch:
    path = folder / "tasks.yaml"
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return load_task_file(path)


def complaints(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read(folder, text)
    return str(refused.value).splitlines()


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    batch = read(
        tmp_path,
        """
        defaults:
          repository: shop
          test: python3 -m unittest
          limits: {steps: 30, cost_usd: null}
        tasks:
          - name: off-by-one
            instruction: |
              The last page
              is missing its last row.
          - &second
            name: own-agent
            instruction: Mend it.
            repository: https://host/x.git
            base: v1.2
            agent: command
            command: {argv: [agent, "--prompt={instruction}"], env: [LANG], idle_seconds: 60}
            limits: {seconds: 90}
            approve: no
            forbidden_paths: []
          - <<: *second
            name: third
            plan:
              actions: [{name: shell, arguments: {command: ls}}]
              fix: {outcome: gave_up, summary: nothing}
        """,
    )
    first, second, third = batch.tasks
    assert (first.repository, first.test, first.base) == (str(tmp_path / "shop"), "python3 -m unittest", "HEAD")
    assert first.instruction == "The last page\nis missing its last row.\n"
    assert first.limits == FixLimits(steps=30, cost_usd=None)
    assert (first.approve, first.forbidden_paths) == (True, FORBIDDEN)
    assert (second.repository, second.base, second.approve) == ("https://host/x.git", "v1.2", False)
    assert second.limits == FixLimits(steps=30, cost_usd=None, seconds=90)
    assert second.forbidden_paths == ()
    assert second.command is not None
    assert second.command.idle_seconds == 60
    assert third.plan is not None
    assert third.plan.actions[0].arguments == {"command": "ls"}
    assert third.model_copy(update={"name": second.name, "plan": None}) == second


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert complaints(
        tmp_path,
        """\
        defaults:
          repository: nowhere
          test: make test
          limits: {steps: 0}
        task: []
        tasks:
          - name: a b
            instruction: Mend it.
          - name: good
            instrucion: Mend it.
          - name: Good
            instruction: Mend it.
            base: 1.0
            limits: {second: 10, tokens: many}
            forbiden_paths: []
          - just text
          - name: other
            instruction: Mend it.
            agent: command
            plan: {actions: [{arguments: {}}], fix: {outcome: fixt}}
        """,
    ) == [
        "tasks.yaml:4: defaults.limits.steps: Input should be greater than 0; mend: change it",
        "tasks.yaml:5: task: there is no such key; mend: write `tasks`",
        "tasks.yaml:7: tasks.0.name: String should match pattern '^[A-Za-z0-9]([A-Za-z0-9_-]{0,58}[A-Za-z0-9])?$'; "
        "mend: use letters, digits, `-` and `_`, and begin and end with a letter or digit",
        "tasks.yaml:10: tasks.1.instrucion: there is no such key; mend: write `instruction`",
        "tasks.yaml:11: tasks.2.name: line 9 has a task of this name; mend: give each a name of its own",
        "tasks.yaml:13: tasks.2.base: Input should be a valid string; mend: put it into quotes",
        "tasks.yaml:14: tasks.2.limits.second: there is no such key; mend: write `seconds`",
        "tasks.yaml:14: tasks.2.limits.tokens: Input should be a valid integer, unable to parse string as an integer; "
        "mend: change it",
        "tasks.yaml:15: tasks.2.forbiden_paths: there is no such key; mend: write `forbidden_paths`",
        "tasks.yaml:16: tasks.3: a mapping with a task's keys belongs here; mend: write `key: value` lines",
        "tasks.yaml:20: tasks.4.plan.actions.0.name: Field required; mend: write it",
        "tasks.yaml:20: tasks.4.plan.fix.outcome: Input should be 'fixed' or 'gave_up'; mend: change it",
        "tasks.yaml:20: tasks.4.plan.fix.summary: Field required; mend: write it",
    ]


def test_a_repository_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    text = "defaults: {repository: nowhere, test: x, instruction: y}\ntasks: [{name: a}, {name: b}]\n"
    assert complaints(tmp_path, text) == [
        f"tasks.yaml:1: defaults.repository: there is no folder {tmp_path / 'nowhere'}; "
        "mend: write the path of a git repository, or a URL"
    ]


TASK = "name: a, repository: ., instruction: x, test: y"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "tasks.yaml:1: it is empty"),
        ("# nothing\n", "tasks.yaml:1: it is empty"),
        ("tasks: []\n", "tasks.yaml:1: tasks: there are no tasks"),
        ("\n- name: a\n", "tasks.yaml:2: a mapping with `defaults:` and `tasks:` belongs here"),
        ("tasks:\n  - {a: b\n", "tasks.yaml:3: not YAML: while parsing a flow mapping"),
        ("tasks:\n\t- a\n", "tasks.yaml:2: not YAML: .*; mend: indent with spaces, not tabs"),
        ("tasks:\n - name: a: b\n", "tasks.yaml:2: not YAML: mapping values are not allowed here; mend: put text"),
        ("tasks: *nobody\n", "tasks.yaml:1: not YAML: found undefined alias 'nobody'"),
        ("a: 1\n---\nb: 2\n", "tasks.yaml:2: not YAML: expected a single document"),
        (b"tasks: \xff\xfe\n", "tasks.yaml:1: not YAML: .*; mend: save it as UTF-8 text"),
        ("tasks: &a [*a]\n", f"tasks.yaml:1: it holds more than {MAX_NODES} values"),
        ("[" * 5000, "tasks.yaml:1: it is nested too deeply"),
        (
            f"tasks: [{{{TASK}, base: a, base: b}}]\n",
            "tasks.yaml:1: tasks.0.base: it stands here twice, first in line 1",
        ),
        (f"tasks: [{{{TASK}, [x]: b}}]\n", r"tasks.yaml:1: tasks.0.\(no text\): there is no such key"),
        (
            f"tasks: [{{{TASK}, agent: command}}]\n",
            "tasks.yaml:1: tasks.0: `agent: command` and a `command` go together",
        ),
        (
            f"defaults: {{name: b}}\ntasks: [{{{TASK}}}]\n",
            "tasks.yaml:1: defaults.name: every task has a name of its own",
        ),
        (f"tasks: [{{{TASK}}}, {{{TASK}}}]\n", "tasks.yaml:1: tasks.1.name: line 1 has a task of this name"),
        (
            f"tasks: [{{{TASK}, base: 2026-13-45}}]\n",
            "tasks.yaml:1: tasks.0.base: month must be in 1..12; mend: put it",
        ),
        (f"tasks: [{{{TASK}, base: 2026-11-23}}]\n", "tasks.yaml:1: tasks.0.base: Input should be a valid string"),
        (f"tasks: [{{{TASK}, <<: 1}}]\n", "tasks.yaml:1: tasks.0: not YAML: expected a mapping"),
        (
            f"tasks: [{{{TASK}, command: {{argv: [x]}}, agent: command}}]\n",
            "tasks.0.command.argv: it is never told what",
        ),
        ("tasks:" + "\n - {}" * (MAX_TASKS + 1), f"there are {MAX_TASKS + 1} tasks; mend: write at most {MAX_TASKS}"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?m)^{complaint}" if complaint.startswith("tasks.y") else complaint):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "tasks: !!python/object/apply:os.system [touch {}]",
        "tasks: [{{name: !!python/object/apply:os.system ['touch {}']}}]",
        "tasks: [{{name: a, plan: {{actions: [!!python/object/apply:os.system ['touch {}']]}}}}]",
    ],
)
def test_no_python_object_is_made(tmp_path: Path, text: str) -> None:
    touched = tmp_path / "touched"
    assert complaints(tmp_path, text.format(touched))
    assert not touched.exists()


def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path: Path) -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert complaints(tmp_path, "\n".join(lines)) == [
        f"tasks.yaml:1: it holds more than {MAX_NODES} values; mend: use fewer aliases, or several files"
    ]


def test_a_file_has_a_size(tmp_path: Path) -> None:
    (said,) = complaints(tmp_path, b"#" * (MAX_BYTES + 1))
    assert said == f"tasks.yaml:1: it is larger than {MAX_BYTES} bytes; mend: divide it into several files"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml cannot be read: No such file"):
        load_task_file(tmp_path / "nothing.yaml")
