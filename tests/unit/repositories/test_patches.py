"""What came out of a box: real patches are read as they are, and forged ones are refused with their reason."""

from __future__ import annotations

import base64
import subprocess
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.repositories.repository import Repository
from triptych.errors import ConfigurationError
from triptych.repositories.patches import PatchLimits, inspect, shorten
from triptych.repositories.records import FileChange, PatchSummary, Refused

HEADER = "diff --git a/README b/README\nindex 1111111..2222222 100644\n--- a/README\n+++ b/README\n"
PLAIN = f"{HEADER}@@ -1 +1 @@\n-a\n+b\n"


async def refused(patch: str | bytes, **options: object) -> tuple[str, str]:
    found = await inspect(patch.encode() if isinstance(patch, str) else patch, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(found, Refused), found
    return found.kind, found.reason


async def read(patch: bytes) -> list[FileChange]:
    found = await inspect(patch)
    assert isinstance(found, PatchSummary), found
    assert (found.digest, found.bytes) == (sha256(patch).hexdigest(), len(patch))
    assert found.added == sum(file.added for file in found.files)
    return list(found.files)


async def test_a_change_of_lines(repository: Repository):
    repository.write("README", "one\n2\n2.5\nthree\n")
    assert await read(repository.patch()) == [FileChange(path="README", kind="modified", added=2, removed=1)]


async def test_what_a_line_says_is_no_header(repository: Repository):
    repository.write("README", "-- a/x\n++ b/x\n@@ -1 +1 @@\ndiff --git a/x b/x\nGIT binary patch\n")
    assert await read(repository.patch()) == [FileChange(path="README", kind="modified", added=5, removed=3)]


async def test_the_ends_of_lines(repository: Repository):
    repository.write("dos", "one\r\ntwo\r\n")
    repository.write("open", "no end")
    repository.write("empty", "")
    repository.commit("ends")
    repository.write("dos", "one\r\nTWO\r\nthree")
    repository.write("open", "no end\n")
    repository.write("empty", "\n")
    assert [(file.path, file.added, file.removed) for file in await read(repository.patch())] == [
        ("dos", 2, 1),
        ("empty", 1, 0),
        ("open", 1, 1),
    ]


async def test_new_gone_renamed_and_executable_files(repository: Repository):
    repository.write("long", "".join(f"{number}\n" for number in range(50)))
    repository.commit("long")
    (repository.folder / "README").unlink()
    repository.write("nothing in it", "")
    repository.write("new", "a\n", executable=True)
    repository.git("mv", "long", "dir name")
    (repository.folder / "src" / "run.sh").chmod(0o644)
    assert await read(repository.patch()) == [
        FileChange(path="README", kind="deleted", removed=3, old_mode="100644"),
        FileChange(path="dir name", old_path="long", kind="renamed"),
        FileChange(path="new", kind="added", added=1, new_mode="100755"),
        FileChange(path="nothing in it", kind="added", new_mode="100644"),
        FileChange(path="src/run.sh", kind="modified", old_mode="100755", new_mode="100644"),
    ]


async def test_a_renamed_file_with_changes_and_a_copy(repository: Repository):
    repository.write("long", "".join(f"{number}\n" for number in range(50)))
    repository.commit("long")
    (repository.folder / "src" / "new b").mkdir()
    repository.git("mv", "long", "src/new b/name")
    repository.write("src/new b/name", "".join(f"{number}\n" for number in range(51)))
    repository.write("copied", "one\ntwo\nthree\n")
    repository.write("README", "one\ntwo\n")
    repository.git("add", "-A")
    patch = repository.bytes("diff", "--cached", "--binary", "--full-index", "-C", "-C", "-M", "HEAD")
    assert [(file.kind, file.old_path, file.path, file.added) for file in await read(patch)] == [
        ("modified", None, "README", 0),
        ("copied", "README", "copied", 0),
        ("renamed", "long", "src/new b/name", 1),
    ]


async def test_binary_files(repository: Repository):
    content = bytes(range(256)) * 40
    repository.write("picture", content)
    repository.write("gone", b"\0" * 100)
    repository.commit("binary")
    repository.write("picture", content[:5000] + b"\0x" + content[5000:])
    (repository.folder / "gone").unlink()
    repository.write("more", b"\0\xff" * 50)
    patch = repository.patch()
    assert b"\ndelta " in patch
    assert [(file.path, file.kind, file.is_binary, file.added) for file in await read(patch)] == [
        ("gone", "deleted", True, 0),
        ("more", "added", True, 0),
        ("picture", "modified", True, 0),
    ]


@pytest.mark.parametrize("quote_path", ["true", "false"])
async def test_names_that_a_shell_would_stumble_over(repository: Repository, quote_path: str):
    repository.git("config", "core.quotePath", quote_path)
    names = ["-dash", "--exec=id", "$(id)", "a b/c d ", "b/ b/ b", "bücher/日本語", 'quo"te', "*", ":(top)x", "a => b"]
    for name in names:
        repository.write(f"x/{name}", "a\n")
        repository.write(name, "")
    assert sorted(file.path for file in await read(repository.patch())) == sorted([*names, *(f"x/{n}" for n in names)])


async def test_links_within_the_repository(repository: Repository):
    (repository.folder / "here").symlink_to("src/code.py")
    (repository.folder / "src" / "up").symlink_to("../README")
    repository.commit("links")
    (repository.folder / "src" / "up").unlink()
    (repository.folder / "src" / "up").symlink_to("../src/code.py")
    (repository.folder / "new").symlink_to("src")
    (repository.folder / "here").unlink()
    assert [(file.path, file.kind, file.leads_to) for file in await read(repository.patch())] == [
        ("here", "deleted", None),
        ("new", "added", "src"),
        ("src/up", "modified", "../src/code.py"),
    ]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", ".git/config", "src/../../outside"])
async def test_links_that_lead_out(repository: Repository, target: str):
    (repository.folder / "link").symlink_to(target)
    kind, reason = await refused(repository.patch())
    assert kind == "unsafe"
    assert target in reason


async def test_a_file_that_becomes_a_link(repository: Repository):
    (repository.folder / "README").unlink()
    (repository.folder / "README").symlink_to("/etc/passwd")
    assert (await refused(repository.patch()))[0] == "unsafe"


async def test_a_submodule(repository: Repository):
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.head()},sub")
    patch = repository.bytes("diff", "--cached", "--binary", "--full-index", "HEAD")
    assert (await refused(patch))[0] == "unsafe"


@pytest.mark.parametrize(
    "name", [".git/config", ".GIT/config", "../up", "/etc/cron.d/x", "a/../../b", "git~1/x", "a//b"]
)
@pytest.mark.parametrize("side", ["both", "old", "new"])
async def test_paths_that_lead_out_or_into_git(name: str, side: str):
    old, new = (name if side != "new" else "a"), (name if side != "old" else "a")
    if side == "both":
        patch = PLAIN.replace("README", name)
    else:
        patch = f"diff --git a/{old} b/{new}\nsimilarity index 100%\nrename from {old}\nrename to {new}\n"
    assert (await refused(patch))[0] == "unsafe"


async def test_a_name_with_a_line_in_it(repository: Repository):
    repository.write("a\ndiff --git a/x b/x", "a\n")
    assert await refused(repository.patch()) == (
        "unsafe",
        "the file name 'a<U+000A>diff --git a/x b/x' holds characters that cannot be seen",
    )


async def test_what_the_policy_keeps(repository: Repository):
    repository.write(".github/workflows/ci.yml", "x\n")
    patch = repository.patch()
    assert await refused(patch) == (
        "forbidden",
        "it touches '.github/workflows/ci.yml', which the policy keeps (.github/)",
    )
    assert isinstance(await inspect(patch, ()), PatchSummary)
    assert (await refused(patch, forbidden=["*.yml"]))[0] == "forbidden"


async def test_the_old_name_of_a_file_counts_as_well(repository: Repository):
    repository.write("Jenkinsfile", "a\nb\nc\n")
    repository.commit("CI")
    repository.git("mv", "Jenkinsfile", "harmless")
    assert (await refused(repository.patch()))[0] == "forbidden"


async def test_what_is_never_allowed_comes_before_what_is_not_allowed():
    patch = f"{PLAIN.replace('README', '.env')}{PLAIN.replace('README', '.git/config')}"
    assert (await refused(patch))[0] == "unsafe"


async def test_a_pattern_that_cannot_be_used_is_the_operators():
    with pytest.raises(ConfigurationError, match="forbids nothing"):
        await inspect(b"", ["!a"])


@pytest.mark.parametrize("patch", [b"", b"\n", b" \n\n"])
async def test_an_empty_patch(patch: bytes):
    assert (await refused(patch))[0] == "empty"


@pytest.mark.parametrize(
    "limits",
    [PatchLimits(bytes=100), PatchLimits(files=1), PatchLimits(binary_bytes=999)],
    ids=["bytes", "files", "binary"],
)
async def test_a_patch_that_is_too_large(repository: Repository, limits: PatchLimits):
    repository.write("a", b"\0" * 1000)
    repository.write("b", "b\n")
    patch = repository.patch()
    assert (await refused(patch, limits=limits))[0] == "too large"
    assert isinstance(await inspect(patch, limits=PatchLimits(files=2, binary_bytes=1000)), PatchSummary)


async def test_a_huge_patch_is_read_in_time(repository: Repository):
    repository.write("large", "x\n" * 500_000)
    [file] = await read(repository.patch())
    assert file.added == 500_000


def base85(data: bytes) -> str:
    lines: list[str] = []
    for start in range(0, len(data), 52):
        piece = data[start : start + 52]
        letter = chr(ord("A") + len(piece) - 1) if len(piece) <= 26 else chr(ord("a") + len(piece) - 27)
        lines.append(letter + base64.b85encode(piece + b"\0" * (-len(piece) % 4)).decode())
    return "\n".join(lines)


async def test_a_small_binary_section_that_becomes_a_large_file():
    # From a source of 65535 bytes, ten times 65535 of them: 40 bytes that would become 655350.
    delta = b"\xff\xff\x03" + b"\xf6\xff\x27" + b"\xb0\xff\xff" * 10
    packed = base85(zlib.compress(delta))
    binary = f"GIT binary patch\ndelta {len(delta)}\n{packed}\n\nliteral 0\nHcmV?d00001\n\n"
    patch = f"diff --git a/x b/x\nindex {'1' * 40}..{'2' * 40} 100644\n{binary}"
    assert (await refused(patch, limits=PatchLimits(binary_bytes=655_349)))[0] == "too large"
    assert isinstance(await inspect(patch.encode(), limits=PatchLimits(binary_bytes=655_350)), PatchSummary)


MAIL = "From 1111 Mon Sep 17 00:00:00 2001\nFrom: Olive Owner <olive@example.com>\nSubject: fix\n---\n"
NEW = "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..1111111\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"
BINARY = "diff --git a/x b/x\nindex 1111111..2222222 100644\nGIT binary patch\n"
FORGED = {
    "words before it": f"{MAIL}{PLAIN}",
    "words between": f"{PLAIN}approved by Olive Owner\n{PLAIN}",
    "words after it": f"{PLAIN}-- \n2.39.5\n",
    "no header of git's": "--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n",
    "an index of svn's": f"Index: README\n======\n{PLAIN}",
    "other prefixes": PLAIN.replace("a/README", "i/README").replace("b/README", "w/README"),
    "no prefixes": PLAIN.replace("a/README", "README").replace("b/README", "README"),
    "other names in ---": PLAIN.replace("--- a/README", "--- a/.git/config"),
    "other names in +++": PLAIN.replace("+++ b/README", "+++ b/other"),
    "other names at a rename": "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to c\n",
    "two names": PLAIN.replace("b/README", "b/other"),
    "a name and a time": PLAIN.replace("+++ b/README", "+++ b/README\t2026-01-01"),
    "quoted with more behind": PLAIN.replace("+++ b/README", '+++ "b/README"x'),
    "a quote without end": PLAIN.replace("+++ b/README", '+++ "b/README'),
    "a wrong escape": PLAIN.replace("README", 'x"\\q"'),
    "shorter than it says": PLAIN.replace("@@ -1 +1 @@", "@@ -1,3 +1,3 @@"),
    "longer than it says": PLAIN.replace("@@ -1 +1 @@", "@@ -1 +0,0 @@"),
    "no line of a hunk's": PLAIN.replace("+b", "*b"),
    "a wrong hunk": PLAIN.replace("@@ -1 +1 @@", "@@ -x +1 @@"),
    "a number without end": PLAIN.replace("-1 +1", f"-{'9' * 5000},1 +1"),
    "no hunk": HEADER,
    "an empty hunk": f"{HEADER}@@ -0,0 +0,0 @@\n",
    "cut off": PLAIN[:-1],
    "cut off in a header": "diff --git a/x b/x\nnew file mode",
    "no mode": PLAIN.replace(" 100644", ""),
    "a mode of no kind": PLAIN.replace("100644", "100666"),
    "a folder's mode": PLAIN.replace("100644", "040000"),
    "a header twice": NEW.replace("new file mode 100644\n", "new file mode 100644\nnew file mode 120000\n"),
    "new and deleted": NEW.replace("index", "deleted file mode 100644\nindex"),
    "new and there before": NEW.replace("/dev/null", "a/x"),
    "half a rename": "diff --git a/a b/b\nrename from a\n",
    "half a mode": PLAIN.replace("index", "old mode 100755\nindex"),
    "a line end of Windows in a header": PLAIN.replace("+++ b/README\n", "+++ b/README\r\n"),
    "binary without content": "diff --git a/x b/x\nindex 1111111..2222222 100644\nBinary files a/x and b/x differ\n",
    "a link in binary": NEW.partition("---")[0].replace("100644", "120000")
    + "GIT binary patch\nliteral 1\nIcmZPo00062\n\nliteral 0\nHcmV?d00001\n\n",
    "binary that is none": f"{BINARY}delta 5\nEaaaaaaa\n\n",
    "binary without an end": f"{BINARY}literal 1\nIcmZPo00062\n",
    "control characters in a header": f"{PLAIN}\x1b[2Jdiff --git a/x b/x\n",
}


def test_the_forgeries_are_of_what_is_no_forgery():
    for patch in (PLAIN, NEW):
        done = subprocess.run(["git", "apply", "--numstat"], input=patch.encode(), capture_output=True, check=True)
        assert done.stdout


@pytest.mark.parametrize("what", FORGED)
async def test_what_git_would_not_have_written(what: str):
    kind, reason = await refused(FORGED[what])
    assert kind in ("malformed", "unsafe")
    assert "\x1b" not in reason


async def test_a_reason_says_where_and_what():
    assert "its last line has no end" in (await refused(PLAIN[:-1]))[1]
    assert "at line 8 of the patch" in (await refused(f"{PLAIN}approved by Olive Owner\n"))[1]


async def test_it_is_not_looked_at_in_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = Repository(tmp_path / "here")
    here.git("config", "apply.whitespace", "error")
    monkeypatch.chdir(here.folder)
    patch = PLAIN.replace("+b", "+b   ").encode()
    assert isinstance(await inspect(patch), PatchSummary)


async def test_a_patch_for_a_person(repository: Repository):
    repository.write("README", "one\ntwo \u202e\x1b[31m\nthree```\n")
    shown = shorten(repository.patch(), 100)
    assert "+two <U+202E><U+001B>[31m" in shown
    assert "\x1b" not in shown
    assert shown.startswith("diff --git a/README b/README\n")


def added(name: str, lines: int) -> bytes:
    header = NEW.replace("a/x", f"a/{name}").replace("b/x", f"b/{name}").partition("@@")[0]
    body = "".join(f"+{number}\n" for number in range(lines))
    return f"{header}@@ -0,0 +1,{lines} @@\n{body}".encode()


def test_whole_files_are_kept_while_there_is_room():
    patch = added("first", 10) + added("second", 100) + added("third", 5)
    shown = shorten(patch, 40).splitlines()
    assert len([line for line in shown if line.startswith("+") and line[1:].isdigit()]) == 15
    assert shown[-1] == "[left out: added 'second', 100 lines added, 0 removed]"
    assert len(shown) == 16 + 11 + 1


def test_a_first_file_without_room_is_cut():
    shown = shorten(added("first", 100) + added("second", 1), 20).splitlines()
    assert shown[-2:] == [
        "[86 more lines of added 'first', 100 lines added, 0 removed]",
        "[left out: added 'second', 1 lines added, 0 removed]",
    ]
    assert len(shown) == 22


def test_long_lines_are_cut_and_many_files_counted():
    shown = shorten(added("x", 1).replace(b"+0\n", b"+" + b"y" * 5000 + b"\n"), 100)
    assert shown.splitlines()[-1] == f"+{'y' * 199} [and 4801 more characters]"
    shown = shorten(b"".join(added(f"{number}", 30) for number in range(100)), 40)
    assert shown.splitlines()[-1] == "[and 80 more files]"
    assert len(shown.splitlines()) == 36 + 20


def test_what_is_no_patch_is_shown_all_the_same():
    assert shorten(b"```\nhello\xff\x1b", 5) == "'''\nhello\\xff<U+001B>"


def test_what_is_binary_is_counted(repository: Repository):
    repository.write("picture", bytes(range(256)) * 10)
    assert shorten(repository.patch(), 100).splitlines()[-1].startswith("[binary, ")
