"""The pins: every dependency bounded from below, every lock hashed, within the bounds, and bare of addresses."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.components.locate import CHECKOUT

PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
DIRECT = [*PROJECT["project"]["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
DEVELOPMENT = [line for name in ("build", "dev") for line in GROUPS[name] if isinstance(line, str)]
RIVALS: list[str] = GROUPS["bench"]
"""What the benchmark alone installs, beside what users run on."""


def pins(lock: str) -> dict[str, set[str]]:
    """Package to pinned versions (more than one where Python versions differ); fails on an entry without a hash."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"^(?=\w)", (CHECKOUT / lock).read_text(), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry
        name, version = re.match(r"([\w.-]+)==([^ ]+)", entry).groups()  # pyright: ignore[reportOptionalMemberAccess]
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("line", DIRECT + DEVELOPMENT + RIVALS)
def test_every_dependency_has_a_lower_bound(line: str):
    assert any(bound.operator in {">=", "==", "~="} for bound in Requirement(line).specifier)


@pytest.mark.parametrize(
    ("lock", "lines"),
    [
        ("requirements.lock", DIRECT + GROUPS["build"]),
        ("requirements-dev.lock", DIRECT + DEVELOPMENT),
        ("requirements-bench.lock", DIRECT + RIVALS),
    ],
)
def test_a_lock_lies_within_the_bounds(lock: str, lines: list[str]):
    pinned = pins(lock)
    for line in lines:
        wanted = Requirement(line)
        versions = pinned.get(canonicalize_name(wanted.name), set())
        assert versions, f"{lock} lacks {wanted.name}: make lock"
        assert all(version in wanted.specifier for version in versions), f"{lock}: {wanted} is {versions}"


def test_development_runs_on_what_users_run_on():
    ours, developers = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: developers.get(name) for name in ours} == ours


def test_the_benchmark_measures_what_users_run_on():
    """Its lock is installed over either of the others, and replaces nothing."""
    measured, developers = pins("requirements-bench.lock"), pins("requirements-dev.lock")
    for name in measured.keys() & developers.keys():
        assert measured[name] == developers[name], name


def test_mitmproxy_is_pinned_as_it_is_asked_for():
    folder = CHECKOUT / "deployments" / "egress"
    pinned = pins("deployments/egress/requirements.lock")
    for file in ("requirements.in", "overrides.txt"):
        for line in (folder / file).read_text().splitlines():
            if line and not line.startswith("#"):
                wanted = Requirement(line)
                assert all(version in wanted.specifier for version in pinned[canonicalize_name(wanted.name)]), line


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-bench.lock",
        "deployments/egress/requirements.lock",
    ],
)
def test_a_lock_names_no_address(lock: str):
    assert "://" not in (CHECKOUT / lock).read_text()
