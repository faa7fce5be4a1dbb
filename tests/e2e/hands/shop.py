"""A repository of somebody's with a bug in it, and what the scripted agent does about that."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

PAGES = """def pages(rows, size):
    return [rows[i : i + size] for i in range(0, len(rows) - size, size)]


def count(rows, size):
    return len(rows) // size
"""
TEST = """import unittest

from shop.pages import pages


class PagesTest(unittest.TestCase):
    def test_the_last_page(self):
        self.assertEqual(pages([1, 2, 3], 2), [[1, 2], [3]])


if __name__ == "__main__":
    unittest.main()
"""
BUG, MENDED = "len(rows) - size, size", "len(rows), size"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """Make the owner's repository: two files, a test, an identity, and a hook that must never run."""
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "pages.py").write_text(PAGES)
    (folder / "test_pages.py").write_text(TEST)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "Mia Owner")
    git(folder, "config", "user.email", "mia@example.com")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    for name in ("post-commit", "reference-transaction", "pre-push"):
        hook = folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {folder.parent}/a-hook-ran\n")
        hook.chmod(0o755)
    return folder


def edit(new: str, *, path: str = "shop/pages.py", old: str = BUG) -> dict[str, Any]:
    return {"name": "edit_file", "arguments": {"path": path, "old_text": old, "new_text": new}}


def shell(command: str) -> dict[str, Any]:
    return {"name": "shell", "arguments": {"command": command}}
