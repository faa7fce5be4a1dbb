"""A YAML file that a person wrote: read whole, and every problem in it told with its line and how to mend it.

What any such file needs is here; what a file may hold is said by a subclass of `Reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from triptych.errors import ConfigurationError

MAX_BYTES = 1024 * 1024
MAX_NODES = 50_000
"""Of values, those that an alias repeats counted each time: a few bytes of aliases can stand for billions of them."""

_LOADER: Any = yaml.SafeLoader


class Problem(NamedTuple):
    """Something in a file that cannot be used."""

    line: int
    """Counting from 1."""
    place: str
    """Which value, by the keys that lead there, items counted from 0; empty for the file as a whole."""
    what: str
    mend: str


@dataclass(frozen=True)
class Value:
    """A value of the file, and by which keys it is found there."""

    node: yaml.Node
    place: tuple[str, ...]


def read_content(path: Path, what: str) -> bytes:
    """Return a file's bytes; of one that is too large, enough to see that it is.

    Args:
        path: The file.
        what: What it is called in messages, such as "task file".

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the {what} {path} cannot be read: {error.strerror}") from error


class Reading:
    """One reading of a file, which collects its problems."""

    EMPTY: ClassVar[str] = "write `key: value` lines"
    """How to mend an empty file."""
    DEEP: ClassVar[str] = "write `key: value` lines, nothing deeper"
    """How to mend one that is nested too deeply."""
    MEND: ClassVar[Mapping[str, str]] = {}
    """How to mend what pydantic finds, by its type of error, or by `type key`, which comes first."""
    MODELS: ClassVar[Mapping[str, type[BaseModel]]] = {}
    """The keys whose values have known keys of their own."""

    def __init__(self) -> None:
        self._mappings: dict[yaml.Node, dict[str, Value]] = {}
        """What has been looked at: what is shared by aliases is told once."""
        self._meant: dict[yaml.Node, set[str]] = {}
        """Which keys a mapping was meant to have, by those that it has and nobody knows."""
        self._unread: set[yaml.Node] = set()
        """Values that could not be made Python's, which has been said."""
        self.problems: list[Problem] = []

    def refuse(self, name: str) -> ConfigurationError:
        """Return an error that tells all problems, a line each: `file.yaml:12: key: what is wrong; mend: how to`.

        Args:
            name: What the file is called there.
        """
        lines = [
            f"{name}:{each.line}: {each.place + ': ' if each.place else ''}{each.what}; mend: {each.mend}"
            for each in sorted(self.problems)
        ]
        return ConfigurationError("\n".join(dict.fromkeys(lines)))

    def compose(self, content: bytes) -> Value | None:
        """Return what the file holds; None: a problem has been told."""
        top = Value(yaml.ScalarNode("", ""), ())
        if len(content) > MAX_BYTES:
            self.say(top, f"it is larger than {MAX_BYTES} bytes", "divide it into several files")
            return None
        try:
            root: yaml.Node | None = _LOADER(content).get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = ", ".join(each for each in (error.context, error.problem) if each)
            line_number = mark.line + 1 if mark else 1
            self.problems.append(Problem(line_number, "", f"not YAML: {what}", _mend_yaml(content, line_number)))
            return None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.say(top, f"not YAML: {' '.join(str(error).split())}", "save it as UTF-8 text")
            return None
        except RecursionError:
            self.say(top, "it is nested too deeply", self.DEEP)
            return None
        if root is None:
            self.say(top, "it is empty", self.EMPTY)
        elif _is_too_much(root):
            self.say(top, f"it holds more than {MAX_NODES} values", "use fewer aliases, or several files")
        else:
            return Value(root, ())
        return None

    def fields(self, value: Value, known: tuple[str, ...], wanted: str) -> dict[str, Value]:
        """Return what a mapping holds by key, merge keys (`<<`) resolved, and say what is wrong with its keys."""
        if value.node not in self._mappings:
            self._mappings[value.node] = self._look_at(value, known, wanted)
        return self._mappings[value.node]

    def _look_at(self, value: Value, known: tuple[str, ...], wanted: str) -> dict[str, Value]:
        node = value.node
        if not isinstance(node, yaml.MappingNode):
            self.say(value, f"a mapping with {wanted} belongs here", "write `key: value` lines")
            return {}
        seen: dict[str, int] = {}
        for key, _ in _pairs(node):
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = text(key)
            where = Value(key, (*value.place, name))
            if name in seen:
                self.say(where, f"it stands here twice, first in line {seen[name]}", "remove one of them")
            seen.setdefault(name, line(key))
            if name not in known:
                close = get_close_matches(name, known, n=1)
                self._meant.setdefault(node, set()).update(close)
                mend = f"write `{close[0]}`" if close else f"write one of {', '.join(known)}"
                self.say(where, "there is no such key", mend)
        try:
            _LOADER("").flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self.say(value, f"not YAML: {error.problem}", "merge mappings only (`<<: *name`)")
            return {}
        # A mapping's own keys come after those that were merged into it.
        return {text(key): Value(inner, (*value.place, text(key))) for key, inner in _pairs(node) if text(key) in known}

    def data(self, value: Value, key: str) -> Any:
        """Return a value as Python's own types; unknown keys of a mapping that we know are told here, and left out."""
        model = self.MODELS.get(key)
        if model is not None and isinstance(value.node, yaml.MappingNode):
            fields = self.fields(value, own_fields(model), f"the keys of `{key}`")
            return {name: self.data(field, name) for name, field in fields.items()}
        loader = _LOADER("")
        try:
            # A mapping is filled when the generator that made it goes on; `deep` sees to that.
            return loader.construct_object(value.node, deep=True)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or value.node.start_mark
            problem = error.problem or "it cannot be read"
            self.problems.append(Problem(mark.line + 1, ".".join(value.place), problem, "write plain text or numbers"))
        except ValueError as error:
            self.say(value, str(error), "put it into quotes")
        self._unread.add(value.node)
        return None

    def take(
        self, error: ErrorDetails, whole: Value, fields: Mapping[str, Value], shared: Mapping[str, Value] | None = None
    ) -> None:
        """Say what pydantic found, at the place in the file where it stands.

        Args:
            error: One of its findings.
            whole: The mapping that was validated.
            fields: Its values by key, shared ones included.
            shared: Those that came from elsewhere in the file.
        """
        shared = shared or {}
        loc = [str(each) for each in error["loc"]]
        what = error["msg"].removeprefix("Value error, ")
        key = ".".join(loc)
        mend = self.MEND.get(f"{error['type']} {key}") or self.MEND.get(error["type"])
        value = fields.get(loc[0]) if loc else None
        if error["type"] == "missing" and self.is_misspelt(loc[-1], whole):
            return
        if value is None:
            self.say(Value(whole.node, (*whole.place, *loc)), what, mend or "write both, or neither")
            return
        found = _inner(value, loc[1:])
        if (found or value).node in self._unread:
            return
        if found is None and loc[0] in shared:
            found = _inner(shared[loc[0]], loc[1:])
        place = Value((found or value).node, (*(found or value).place, *([] if found else loc[1:])))
        self.say(place, what, mend or "change it")

    def is_misspelt(self, key: str, whole: Value) -> bool:
        """Whether a key that is missing is there under a name like it, which has been said."""
        return key in self._meant.get(whole.node, ())

    def say(self, value: Value, what: str, mend: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(line(value.node), ".".join(value.place), what, mend))


def line(node: yaml.Node) -> int:
    """Return the line where a value begins, from 1."""
    mark: yaml.Mark | None = node.start_mark
    return 1 if mark is None else mark.line + 1


def text(node: yaml.Node) -> str:
    """Return a scalar as it is written."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "(no text)"


def own_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a mapping of this model may have."""
    return tuple(name for name in model.model_fields if name != "schema_version")


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _mend_yaml(content: bytes, line_number: int) -> str:
    lines = content.splitlines()
    if line_number <= len(lines) and b"\t" in lines[line_number - 1]:
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


def _inner(value: Value, loc: list[str]) -> Value | None:
    """Return the value to which keys and numbers lead."""
    node = value.node
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
        elif isinstance(node, yaml.MappingNode):
            found = [inner for key, inner in _pairs(node) if text(key) == step]
            if not found:
                return None
            node = found[-1]
        else:
            return None
    return Value(node, (*value.place, *loc))
