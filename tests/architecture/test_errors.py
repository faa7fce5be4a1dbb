"""The error tree: drawn as it is, and able to cross a process border."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from triptych import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
]
STATE = {"usage": {"steps": 3.0, "cost_usd": 0.25}, "reason": "said no", "step": "2 refund", "change": "the prompt"}


def drawn_tree() -> dict[str, str | None]:
    """Each drawn name with the name it hangs below."""
    lines = (errors.__doc__ or "").split("```")[1].strip().splitlines()
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in lines:
        branch, name = re.match(r"([│├└─ ]*)(\w+)", line, re.UNICODE).groups()  # pyright: ignore[reportOptionalMemberAccess]
        depth = len(branch) // 4
        parents[name] = above[depth - 1] if depth else None
        above = [*above[:depth], name]
    return parents


def test_the_tree_is_drawn_as_it_is():
    assert drawn_tree() == {
        cls.__name__: cls.__bases__[0].__name__ if cls is not errors.TriptychError else None for cls in CLASSES
    }


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling_with_its_state(cls: type[Exception]):
    own = [name for name, p in inspect.signature(cls.__init__).parameters.items() if p.kind is p.KEYWORD_ONLY]
    state = {name: STATE.get(name, name) for name in own}
    error = cls("what happened", **state)
    error.add_note("seen on the way")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert again.args == ("what happened",)
    assert vars(again) == vars(error)
    assert {name: getattr(again, name) for name in own} == state


class Demanding(errors.TriptychError):
    """An error that cannot be built from its message alone, as one of tomorrow may be."""

    def __init__(self, message: str, *, needed: str) -> None:
        super().__init__(message)
        self.needed = needed


def test_an_error_with_a_required_part_survives_too():
    again = pickle.loads(pickle.dumps(Demanding("what happened", needed="this")))
    assert (again.args, again.needed) == (("what happened",), "this")


def test_a_budget_error_carries_its_usage():
    again = pickle.loads(pickle.dumps(errors.BudgetExceeded("too much", usage={"steps": 5})))
    assert again.usage == {"steps": 5}


def test_a_configuration_error_is_a_value_error():
    assert issubclass(errors.ConfigurationError, ValueError)
