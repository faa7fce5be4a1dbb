"""A task file: YAML, read whole, and every problem in it told with its line before anything starts.

```yaml
defaults:                       # of every task; a task's own values win, limits one by one
  repository: ../shop           # a path from this file's folder, or a URL
  test: python3 -m unittest
  limits: {steps: 30, cost_usd: 2}
tasks:
  - name: off-by-one
    instruction: The last page is missing its last row.
```
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError

from triptych.fixes import CommandAgent, Fix, FixBatch, FixLimits, FixPlan, FixTask, is_url
from triptych.yaml_file import Reading, Value, line, own_fields, read_content, text

MAX_TASKS = 1000

_MODELS: Mapping[str, type[BaseModel]] = {
    "limits": FixLimits,
    "command": CommandAgent,
    "plan": FixPlan,
    "fix": Fix,
}
"""The fields of a task that hold fields of their own."""
_OF_A_FILE = ("defaults", "tasks")
_MEND = {
    "missing": "write it",
    "string_type": "put it into quotes",
    "string_too_short": "write something",
    "string_pattern_mismatch": "use letters, digits, `-` and `_`, and begin and end with a letter or digit",
    "tuple_type": "write a list: [a, b]",
    "too_short": "write at least one",
}


def load_task_file(path: Path) -> FixBatch:
    """Read the tasks of a file.

    Args:
        path: A YAML file. Paths of repositories in it begin at its folder.

    Returns:
        The tasks, with absolute paths.

    Raises:
        ConfigurationError: it cannot be used. All its problems are told, a line each:
            `tasks.yaml:12: tasks.1.base: what is wrong; mend: how to`. The operator sees it; nothing has been started.
    """
    return parse_task_file(read_content(path, "task file"), name=path.name, folder=path.absolute().parent)


def parse_task_file(content: bytes, *, name: str, folder: Path) -> FixBatch:
    """Return the tasks of a file's content.

    Args:
        content: YAML.
        name: What the file is called in messages.
        folder: Where paths of repositories begin.

    Raises:
        ConfigurationError: as `load_task_file`.
    """
    reading = _Reading(folder)
    batch = reading.batch(content)
    if batch is None or reading.problems:
        raise reading.refuse(name)
    return batch


class _Reading(Reading):
    EMPTY = "write `tasks:` and below it a list of tasks"
    DEEP = "write tasks and their keys, nothing deeper"
    MEND = _MEND
    MODELS = _MODELS

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._shared: Value | None = None
        """The mapping of `defaults:`."""
        self._names: dict[str, int] = {}
        """The line of each task's name."""

    def batch(self, content: bytes) -> FixBatch | None:
        root = self.compose(content)
        if root is None:
            return None
        fields = self.fields(root, _OF_A_FILE, "`defaults:` and `tasks:`")
        defaults = {}
        if "defaults" in fields:
            self._shared = fields["defaults"]
            defaults = dict(self.fields(fields["defaults"], own_fields(FixTask), "a task's keys"))
        if "name" in defaults:
            self.say(defaults.pop("name"), "every task has a name of its own", "remove it here")
        given = fields.get("tasks")
        if given is None or not isinstance(given.node, yaml.SequenceNode) or not given.node.value:
            self.say(given or Value(root.node, ("tasks",)), "there are no tasks", "write `tasks:` and a list below it")
            return None
        if len(given.node.value) > MAX_TASKS:
            self.say(given, f"there are {len(given.node.value)} tasks", f"write at most {MAX_TASKS} into one file")
            return None
        tasks: list[FixTask] = []
        for number, node in enumerate(given.node.value):
            task = self._task(Value(node, ("tasks", str(number))), defaults)
            if task is not None:
                tasks.append(task)
        return None if self.problems else FixBatch(tasks=tuple(tasks))

    def _task(self, value: Value, defaults: dict[str, Value]) -> FixTask | None:
        before = len(self.problems)
        own = self.fields(value, own_fields(FixTask), "a task's keys")
        if not isinstance(value.node, yaml.MappingNode):
            return None
        if "name" in own:
            self._tell_apart(own["name"])
        fields = {**defaults, **own}
        data: dict[str, Any] = {}
        for key, field in fields.items():
            data[key] = self.data(field, key)
        if "limits" in defaults and "limits" in own:
            shared = self.data(defaults["limits"], "limits")
            if isinstance(shared, dict) and isinstance(data["limits"], dict):
                data["limits"] = {**cast("dict[str, Any]", shared), **cast("dict[str, Any]", data["limits"])}
        try:
            task = FixTask.model_validate(data)
        except ValidationError as error:
            for each in error.errors():
                self.take(each, value, fields, defaults)
            return None
        if len(self.problems) > before:
            return None
        return self._with_repository(task, fields["repository"])

    def is_misspelt(self, key: str, whole: Value) -> bool:
        """Whether it is there under a name like it, in the task or in `defaults:`."""
        return super().is_misspelt(key, whole) or (self._shared is not None and super().is_misspelt(key, self._shared))

    def _tell_apart(self, name: Value) -> None:
        # Where letters' case counts for nothing in file names, it counts for nothing in branches' names either.
        same = text(name.node).casefold()
        if same in self._names:
            self.say(name, f"line {self._names[same]} has a task of this name", "give each a name of its own")
        self._names.setdefault(same, line(name.node))

    def _with_repository(self, task: FixTask, value: Value) -> FixTask | None:
        if is_url(task.repository):
            return task
        path = self._folder / Path(task.repository).expanduser()
        if not path.is_dir():
            self.say(value, f"there is no folder {path}", "write the path of a git repository, or a URL")
            return None
        return task.model_copy(update={"repository": str(path.resolve())})
