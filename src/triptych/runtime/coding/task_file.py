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
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from triptych.errors import ConfigurationError
from triptych.fixes import CommandAgent, Fix, FixBatch, FixLimits, FixPlan, FixTask, is_url

MAX_BYTES = 1024 * 1024
MAX_NODES = 50_000
"""Of values, those that an alias repeats counted each time: a few bytes of aliases can stand for billions of them."""
MAX_TASKS = 1000

_LOADER: Any = yaml.SafeLoader
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


class Problem(NamedTuple):
    """Something in a file that cannot be used."""

    line: int
    """Counting from 1."""
    place: str
    """Which value, by the keys that lead there, tasks counted from 0; empty for the file as a whole."""
    what: str
    mend: str


@dataclass(frozen=True)
class _Value:
    """A value of the file, and by which keys it is found there."""

    node: yaml.Node
    place: tuple[str, ...]


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
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the task file {path} cannot be read: {error.strerror}") from error
    return parse_task_file(content, name=path.name, folder=path.absolute().parent)


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
        lines = [
            f"{name}:{each.line}: {each.place + ': ' if each.place else ''}{each.what}; mend: {each.mend}"
            for each in sorted(reading.problems)
        ]
        raise ConfigurationError("\n".join(dict.fromkeys(lines)))
    return batch


class _Reading:
    """One reading of a file, which collects its problems."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mappings: dict[yaml.Node, dict[str, _Value]] = {}
        """What has been looked at: what several tasks share is told once."""
        self._meant: dict[yaml.Node, set[str]] = {}
        """Which keys a mapping was meant to have, by those that it has and nobody knows."""
        self._shared: yaml.Node | None = None
        """The mapping of `defaults:`."""
        self._names: dict[str, int] = {}
        """The line of each task's name."""
        self.problems: list[Problem] = []

    def batch(self, content: bytes) -> FixBatch | None:
        root = self._compose(content)
        if root is None:
            return None
        fields = self._fields(_Value(root, ()), _OF_A_FILE, "`defaults:` and `tasks:`")
        defaults = {}
        if "defaults" in fields:
            self._shared = fields["defaults"].node
            defaults = dict(self._fields(fields["defaults"], _own_fields(FixTask), "a task's keys"))
        if "name" in defaults:
            self._say(defaults.pop("name"), "every task has a name of its own", "remove it here")
        given = fields.get("tasks")
        if given is None or not isinstance(given.node, yaml.SequenceNode) or not given.node.value:
            self._say(given or _Value(root, ("tasks",)), "there are no tasks", "write `tasks:` and a list below it")
            return None
        if len(given.node.value) > MAX_TASKS:
            self._say(given, f"there are {len(given.node.value)} tasks", f"write at most {MAX_TASKS} into one file")
            return None
        tasks: list[FixTask] = []
        for number, node in enumerate(given.node.value):
            task = self._task(_Value(node, ("tasks", str(number))), defaults)
            if task is not None:
                tasks.append(task)
        return None if self.problems else FixBatch(tasks=tuple(tasks))

    def _compose(self, content: bytes) -> yaml.Node | None:
        top = _Value(yaml.ScalarNode("", ""), ())
        if len(content) > MAX_BYTES:
            self._say(top, f"it is larger than {MAX_BYTES} bytes", "divide it into several files")
            return None
        try:
            root: yaml.Node | None = _LOADER(content).get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = ", ".join(each for each in (error.context, error.problem) if each)
            line = mark.line + 1 if mark else 1
            self.problems.append(Problem(line, "", f"not YAML: {what}", _mend_yaml(content, line)))
            return None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self._say(top, f"not YAML: {' '.join(str(error).split())}", "save it as UTF-8 text")
            return None
        except RecursionError:
            self._say(top, "it is nested too deeply", "write tasks and their keys, nothing deeper")
            return None
        if root is None:
            self._say(top, "it is empty", "write `tasks:` and below it a list of tasks")
        elif _is_too_much(root):
            self._say(top, f"it holds more than {MAX_NODES} values", "use fewer aliases, or several files")
        else:
            return root
        return None

    def _fields(self, value: _Value, known: tuple[str, ...], wanted: str) -> dict[str, _Value]:
        """Return what a mapping holds by key, merge keys (`<<`) resolved, and say what is wrong with its keys."""
        if value.node not in self._mappings:
            self._mappings[value.node] = self._look_at(value, known, wanted)
        return self._mappings[value.node]

    def _look_at(self, value: _Value, known: tuple[str, ...], wanted: str) -> dict[str, _Value]:
        node = value.node
        if not isinstance(node, yaml.MappingNode):
            self._say(value, f"a mapping with {wanted} belongs here", "write `key: value` lines")
            return {}
        seen: dict[str, int] = {}
        for key, _ in _pairs(node):
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = _text(key)
            where = _Value(key, (*value.place, name))
            if name in seen:
                self._say(where, f"it stands here twice, first in line {seen[name]}", "remove one of them")
            seen.setdefault(name, _line(key))
            if name not in known:
                close = get_close_matches(name, known, n=1)
                self._meant.setdefault(node, set()).update(close)
                mend = f"write `{close[0]}`" if close else f"write one of {', '.join(known)}"
                self._say(where, "there is no such key", mend)
        try:
            _LOADER("").flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self._say(value, f"not YAML: {error.problem}", "merge mappings only (`<<: *name`)")
            return {}
        # A mapping's own keys come after those that were merged into it.
        return {
            _text(key): _Value(inner, (*value.place, _text(key))) for key, inner in _pairs(node) if _text(key) in known
        }

    def _task(self, value: _Value, defaults: dict[str, _Value]) -> FixTask | None:
        before = len(self.problems)
        own = self._fields(value, _own_fields(FixTask), "a task's keys")
        if not isinstance(value.node, yaml.MappingNode):
            return None
        if "name" in own:
            self._tell_apart(own["name"])
        fields = {**defaults, **own}
        data: dict[str, Any] = {}
        for key, field in fields.items():
            data[key] = self._data(field, key)
        if "limits" in defaults and "limits" in own:
            shared = self._data(defaults["limits"], "limits")
            if isinstance(shared, dict) and isinstance(data["limits"], dict):
                data["limits"] = {**cast("dict[str, Any]", shared), **cast("dict[str, Any]", data["limits"])}
        try:
            task = FixTask.model_validate(data)
        except ValidationError as error:
            for each in error.errors():
                self._take(each, value, fields, defaults)
            return None
        if len(self.problems) > before:
            return None
        return self._with_repository(task, fields["repository"])

    def _data(self, value: _Value, key: str) -> Any:
        """Return a value as Python's own types; unknown keys of a mapping that we know are told here, and left out."""
        model = _MODELS.get(key)
        if model is not None and isinstance(value.node, yaml.MappingNode):
            fields = self._fields(value, _own_fields(model), f"the keys of `{key}`")
            return {name: self._data(field, name) for name, field in fields.items()}
        loader = _LOADER("")
        try:
            # A mapping is filled when the generator that made it goes on; `deep` sees to that.
            return loader.construct_object(value.node, deep=True)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or value.node.start_mark
            problem = error.problem or "it cannot be read"
            self.problems.append(Problem(mark.line + 1, ".".join(value.place), problem, "write plain text or numbers"))
            return None
        except ValueError as error:
            self._say(value, str(error), "put it into quotes")
            return None

    def _take(self, error: ErrorDetails, task: _Value, fields: dict[str, _Value], defaults: dict[str, _Value]) -> None:
        """Say what pydantic found, at the place in the file where it stands."""
        loc = [str(each) for each in error["loc"]]
        what = error["msg"].removeprefix("Value error, ")
        value = fields.get(loc[0]) if loc else None
        if error["type"] == "missing" and any(
            loc[-1] in self._meant.get(node, ()) for node in (task.node, self._shared) if node is not None
        ):
            # It is there, misspelt, and that has been said.
            return
        if value is None:
            self._say(_Value(task.node, (*task.place, *loc)), what, _MEND.get(error["type"], "write both, or neither"))
            return
        found = _inner(value, loc[1:])
        if found is None and loc[0] in defaults:
            # A limit that came from there.
            found = _inner(defaults[loc[0]], loc[1:])
        place = _Value((found or value).node, (*(found or value).place, *([] if found else loc[1:])))
        self._say(place, what, _MEND.get(error["type"], "change it"))

    def _tell_apart(self, name: _Value) -> None:
        # Where letters' case counts for nothing in file names, it counts for nothing in branches' names either.
        same = _text(name.node).casefold()
        if same in self._names:
            self._say(name, f"line {self._names[same]} has a task of this name", "give each a name of its own")
        self._names.setdefault(same, _line(name.node))

    def _with_repository(self, task: FixTask, value: _Value) -> FixTask | None:
        if is_url(task.repository):
            return task
        path = self._folder / Path(task.repository).expanduser()
        if not path.is_dir():
            self._say(value, f"there is no folder {path}", "write the path of a git repository, or a URL")
            return None
        return task.model_copy(update={"repository": str(path.resolve())})

    def _say(self, value: _Value, what: str, mend: str) -> None:
        self.problems.append(Problem(_line(value.node), ".".join(value.place), what, mend))


def _line(node: yaml.Node) -> int:
    mark: yaml.Mark | None = node.start_mark
    return 1 if mark is None else mark.line + 1


def _text(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "(no text)"


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _own_fields(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name != "schema_version")


def _mend_yaml(content: bytes, line: int) -> str:
    lines = content.splitlines()
    if line <= len(lines) and b"\t" in lines[line - 1]:
        return "indent with spaces, not tabs"
    return "put text that holds `:`, `#`, quotes or braces into quotes, and indent a list's items alike"


def _is_too_much(root: yaml.Node) -> bool:
    """Whether a document is larger than anybody writes, its aliases followed; one that holds itself is."""
    waiting, count = [root], 0
    while waiting:
        count += 1
        if count > MAX_NODES:
            return True
        waiting.extend(_children(waiting.pop()))
    return False


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in _pairs(node) for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _inner(value: _Value, loc: list[str]) -> _Value | None:
    """Return the value to which keys and numbers lead."""
    node = value.node
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
        elif isinstance(node, yaml.MappingNode):
            found = [inner for key, inner in _pairs(node) if _text(key) == step]
            if not found:
                return None
            node = found[-1]
        else:
            return None
    return _Value(node, (*value.place, *loc))
