"""What stands in the tree: files of a size to be read, and nothing of the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.components.locate import CHECKOUT

MAX_LINES = 400
LONGER_FOR_A_REASON: dict[str, str] = {}
"""Path and reason of each longer Python file."""

# One letter in brackets keeps this file from matching itself.
FOREIGN = re.compile(
    r"py[p]i[.]org|python[h]osted|deb[i]an[.]org|npm[j]s[.]org|/wor[k]/(main|steering|[.]library)|/far[m]/in"
)


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (CHECKOUT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def foreign_lines(path: Path) -> list[str]:
    lines = path.read_text(errors="replace").splitlines()
    return [f"{path.name}:{number}" for number, line in enumerate(lines, 1) if FOREIGN.search(line)]


def test_no_file_is_too_long_to_read():
    long = {
        str(path.relative_to(CHECKOUT))
        for path in files()
        if path.suffix == ".py" and len(path.read_text().splitlines()) > MAX_LINES
    }
    assert long == set(LONGER_FOR_A_REASON)


def test_nothing_names_a_package_registry_or_a_path_of_one_machine():
    assert [line for path in files() for line in foreign_lines(path)] == []


@pytest.mark.parametrize("text", ["https://py" + "pi.org/simple", "/wor" + "k/main/src"])
def test_a_foreign_name_is_seen(text: str, tmp_path: Path):
    (tmp_path / "x").write_text(f"one\n{text}\n")
    assert foreign_lines(tmp_path / "x") == ["x:2"]
