"""Paths that no patch may touch, links that may lead nowhere else, and what a policy keeps."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from triptych.errors import ConfigurationError
from triptych.fixes import FORBIDDEN
from triptych.repositories.paths import Forbidden, why_link_is_unsafe, why_unsafe


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".GIT/config",
        "a/.gIt/hooks/x",
        ".git",
        "sub/.git",
        "git~1/config",
        "GIT~2",
        ".git./config",
        ".git /config",
        ".git. . /x",
        ".git::$INDEX_ALLOCATION/config",
        ".git:stream",
        "a\\.git\\config",
        ".g\u0131t\u200c/x",
        ".\uff47\uff49\uff54/x",
        ".g\u200cit/config",
        ".gitmodules",
        "a/.GITMODULES",
        "gitmod~1",
        "GI7EBA~1",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "a\\..\\b",
        "\\\\server\\x",
        "C:/x",
        "c:\\x",
        "new\nline",
        "tab\t",
        "esc\x1b[31m",
        "right\u202eleft",
        "zero\u200bwidth",
        "hard\u00a0space",
    ],
)
def test_unsafe_paths(path: str):
    assert why_unsafe(path.encode()) is not None


def test_a_name_that_is_no_text_is_unsafe():
    assert "not UTF-8" in (why_unsafe(b"\xff\xfe") or "")


@pytest.mark.parametrize(
    "path",
    [
        "README",
        "-dash",
        "--exec=x",
        'quo"te',
        "a b/c d",
        "bücher/日本語",
        ".github/x",
        ".gitignore",
        ".gitattributes",
        "git",
        "a.git/b",
        "digit~1",
        "...",
        "..a",
        "a..b",
        "$(id)",
        "a;b|c",
        "@{u}",
        ":(top)x",
    ],
)
def test_safe_paths(path: str):
    assert why_unsafe(path.encode()) is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("a", "./b/c"),
        ("d/a", "../b"),
        ("d/e/a", "../../b/c"),
        ("d/a", ".."),
        ("a", "b/..c"),
        ("a", "."),
    ],
)
def test_links_within(path: str, target: str):
    assert why_link_is_unsafe(path.encode(), target.encode()) is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "/etc/passwd"),
        ("a", ".."),
        ("a", "../b"),
        ("d/a", "../../b"),
        ("d/a", "../../d/b"),
        ("d/e/a", "x/../../../../b"),
        ("d/e/a", "x/../y"),
        ("a", "./../b"),
        ("a", ".git/config"),
        ("d/a", "../.GIT/hooks"),
        ("a", "git~1"),
        ("a", "..\\b"),
        ("a", "C:\\b"),
        ("a", "\\b"),
        ("a", ""),
        ("a", "b\n"),
        ("a", "b\u202e"),
    ],
)
def test_links_that_may_lead_elsewhere(path: str, target: str):
    assert why_link_is_unsafe(path.encode(), target.encode()) is not None


def test_a_links_way_up_after_a_name_is_what_another_link_makes_of_it(tmp_path: Path):
    """Both of them stay within, as they are written; together they do not."""
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "up").symlink_to("../..")
    (tmp_path / "root" / "a" / "b" / "out").symlink_to("up/../x")
    assert (tmp_path / "root" / "a" / "b" / "out").resolve() == tmp_path / "x"
    assert why_link_is_unsafe(b"a/b/up", b"../..") is None
    assert why_link_is_unsafe(b"a/b/out", b"up/../x") is not None


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".GitHub/workflows/ci.yml",
        "sub/.githooks/pre-commit",
        ".env",
        "deploy/.env.production",
        "keys/server.PEM",
        ".ssh/id_ed25519.pub",
        "Jenkinsfile",
        "sub/.gitattributes",
        "sub/.vscode/tasks.json",
    ],
)
def test_what_is_kept_by_default(path: str):
    assert Forbidden(FORBIDDEN).pattern_for(path) is not None


@pytest.mark.parametrize("path", [".githooks", ".GitHub", "sub/.husky", ".vscode", ".ssh", ".claude"])
def test_a_link_that_stands_for_a_kept_folder_is_kept(path: str):
    assert Forbidden(FORBIDDEN).pattern_for(path, is_link=True) is not None
    assert Forbidden(FORBIDDEN).pattern_for(path) is None


@pytest.mark.parametrize("path", [".gitattributes.", ".gitattributes ", ".github./workflows/ci.yml", ".env. ."])
def test_what_another_file_system_takes_for_a_kept_path_is_kept(path: str):
    assert Forbidden(FORBIDDEN).pattern_for(path) is not None


@pytest.mark.parametrize("path", ["README", "src/env.py", "environment", "docs/key.md", "github/x", "src/ssh/a.py"])
def test_what_is_not(path: str):
    assert Forbidden(FORBIDDEN).pattern_for(path) is None


@pytest.mark.parametrize("pattern", ["", "/", "!a", "//", "a//", "#a"])
def test_a_pattern_that_forbids_nothing_is_a_mistake(pattern: str):
    with pytest.raises(ConfigurationError, match="forbids nothing"):
        Forbidden([pattern])


NAMES = st.sampled_from(["a", "b", "ab", "A", "a.b", ".a", "abc"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(
    ["a", "b", "B", "*", "?", "**", "/", ".", "[ab]", "[!a]", "[^b.]", "[a-c]", "\\*", "**/", "/**"]
)


@settings(max_examples=40)
@given(st.lists(PIECES, min_size=1, max_size=5).map("".join), st.lists(PATHS, min_size=5, max_size=25, unique=True))
def test_patterns_mean_what_they_mean_to_git(ignoring: Path, pattern: str, paths: list[str]):
    # Two stars beside a name are one by git's manual, and not always so by git.
    assume("//" not in pattern and pattern != "/" and not re.search(r"[^/]\*\*|\*\*[^/]", pattern))
    (ignoring / "patterns").write_text(f"{pattern}\n")
    settings = ["-c", f"core.excludesFile={ignoring / 'patterns'}", "-c", "core.ignoreCase=true"]
    done = subprocess.run(
        ["git", *settings, "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=ignoring,
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    kept = Forbidden([pattern])
    assert {path for path in paths if kept.pattern_for(path)} == set(done.stdout.split("\0")[:-1])


@pytest.fixture(scope="module")
def ignoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignoring")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder
