"""A repository to be worked with by plain git, as its owner or a model would; and what may be planted in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

OWNER = ("Olive Owner", "olive@example.com")
HOOKS = (
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "prepare-commit-msg",
    "reference-transaction",
    "update",
)


class Repository:
    """A folder with plain git in it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", *options)
        self.git("config", "user.name", OWNER[0])
        self.git("config", "user.email", OWNER[1])

    @property
    def path(self) -> str:
        return str(self.folder)

    def bytes(self, *arguments: str, stdin: bytes = b"") -> bytes:
        environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, input=stdin, capture_output=True, check=False, env=environment
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        return self.bytes(*arguments, stdin=stdin).decode().strip()

    def write(self, name: str, content: str | bytes, *, executable: bool = False) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o755 if executable else 0o644)

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def patch(self) -> bytes:
        """What was changed since the last commit, as it comes out of a box; the files are then as they were."""
        self.git("add", "-A")
        patch = self.bytes("diff", "--cached", "--binary", "--full-index", "HEAD")
        self.git("reset", "-q", "--hard")
        return patch

    def state(self) -> dict[str, object]:
        """All that is the owner's own: files, index, HEAD, branches, stash."""
        files = {
            str(path.relative_to(self.folder)): (path.lstat().st_mtime_ns, path.lstat().st_mode)
            for path in self.folder.rglob("*")
            if path.relative_to(self.folder).parts[0] != ".git"
        }
        inside = {name: (self.folder / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")}
        return {"files": files, "inside": inside, "refs": self.git("for-each-ref")}

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/triptych").splitlines()


class Traps:
    """Programs that leave a trace in a folder when they are run."""

    def __init__(self, folder: Path) -> None:
        self._traces = folder / "traces"
        self._traces.mkdir(parents=True)
        self._folder = folder

    @property
    def sprung(self) -> list[str]:
        return sorted(path.name for path in self._traces.iterdir())

    def program(self, name: str) -> str:
        path = self._folder / name
        path.write_text(f"#!/bin/sh\n: > '{self._traces / name}'\ncat\n")
        path.chmod(0o755)
        return str(path)

    def plant(self, repository: Repository) -> None:
        """Set every trap that a repository's configuration, hooks and attributes can hold."""
        hooks = repository.folder / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in HOOKS:
            (hooks / name).unlink(missing_ok=True)
            (hooks / name).symlink_to(self.program(f"hook-{name}"))
        settings = {
            "core.fsmonitor": "fsmonitor",
            "core.sshCommand": "sshCommand",
            "core.pager": "pager",
            "core.editor": "editor",
            "core.askPass": "askPass",
            "core.gitProxy": "gitProxy",
            "core.alternateRefsCommand": "alternateRefsCommand",
            "credential.helper": "helper",
            "gpg.program": "gpg",
            "diff.external": "external",
            "diff.evil.textconv": "textconv",
            "diff.evil.command": "command",
            "merge.evil.driver": "driver",
            "filter.evil.clean": "clean",
            "filter.evil.smudge": "smudge",
            "filter.more.evil.process": "process",
            "filter.included.clean": "included",
            "uploadpack.packObjectsHook": "packObjectsHook",
            "interactive.diffFilter": "diffFilter",
            "pager.status": "pagerStatus",
        }
        for setting, name in settings.items():
            repository.git("config", setting, self.program(name))
        included = repository.folder / ".git" / "included"
        included.write_text(f'[filter "included"]\n\tclean = {self.program("cleanIncluded")}\n\trequired\n')
        repository.git("config", "include.path", str(included))
        for setting in ("filter.evil.required", "filter.more.evil.required", "commit.gpgSign", "log.showSignature"):
            repository.git("config", setting, "true")
        for name in ("status", "apply", "rev-parse", "update-ref"):
            repository.git("config", f"alias.{name}", f"!{self.program(f'alias-{name}')}")
        info = repository.folder / ".git" / "info"
        info.mkdir(exist_ok=True)
        attributes = "*.py filter=evil diff=evil merge=evil\n*.sh filter=more.evil\nREADME filter=included\n"
        (info / "attributes").write_text(attributes)
        # Time stamps that are not the index's: git has to look into the files, through their filters.
        for path in repository.folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                os.utime(path, (1, 1))
