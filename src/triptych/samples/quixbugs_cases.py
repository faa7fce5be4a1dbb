"""Runs the JSON cases of one QuixBugs program with nothing but Python 3.9: `python3 run_cases.py NAME`."""

from __future__ import annotations

import importlib
import json
import math
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASE_SECONDS = 10
"""A case that takes longer has failed, and no further one is tried: buggy versions may not end."""
TAKES_MINUTES: dict[str, Callable[[list[Any]], bool]] = {
    "knapsack": lambda given: given[0] > 1_000_000,
    "levenshtein": lambda given: len(given[0]) + len(given[1]) > 40,
}
"""The cases that are left out, since the correct program has no end either within any sensible time."""


def plain(value: Any) -> Any:
    """Return a value as JSON has it: generators and tuples are lists."""
    if isinstance(value, (list, tuple, types.GeneratorType)):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def run_case(function: Callable[..., Any], name: str, given: list[Any], expected: Any) -> str | None:
    """Return what is wrong with what a program returns; None where nothing is."""
    # Its second argument is how exact it is to be.
    tolerance = given[1] if name == "sqrt" else 0.0
    asked = f"{name}({str(given)[1:-1][:200]})"
    try:
        found = plain(function(*given))
    except Exception as error:
        return f"{asked}: {error!r}"
    if isinstance(found, float) and math.isclose(found, expected, rel_tol=1e-9, abs_tol=tolerance):
        return None
    return None if found == expected else f"{asked}: expected {str(expected)[:200]}, got {str(found)[:200]}"


def give_up(number: int, frame: object) -> None:
    """End a case that takes too long, and with it the program."""
    print(f"a case was not done after {CASE_SECONDS} s", flush=True)
    sys.exit(1)


def main(name: str) -> int:
    """Run all cases of a program of the current folder; return how many failed."""
    sys.path.insert(0, ".")
    function = getattr(importlib.import_module(f"python_programs.{name}"), name)
    lines = Path("json_testcases", f"{name}.json").read_text().splitlines()
    cases = [json.loads(line) for line in lines if line.strip()]
    signal.signal(signal.SIGALRM, give_up)
    wrong: list[str] = []
    for given, expected in cases:
        if name not in TAKES_MINUTES or not TAKES_MINUTES[name](given):
            signal.alarm(CASE_SECONDS)
            complaint = run_case(function, name, given, expected)
            signal.alarm(0)
            wrong += [complaint] if complaint else []
    print("\n".join([*wrong, f"{len(wrong)} of {len(cases)} cases failed"]))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
