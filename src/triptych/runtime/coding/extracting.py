"""What an agent changed, as a patch: read in a box of its own, by git, with a `.git` that no model has touched."""

from __future__ import annotations

import io
import tarfile

from triptych.repositories.records import Refused
from triptych.repositories.showing import visible
from triptych.sandbox.restored import RestoredHands

READ_SECONDS = 300.0
_GIT, _PATCH = "/tmp/triptych-git.tar", "/tmp/triptych.patch"
_SCRIPT = """
set -e
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
[ ! -d .git ] || [ -L .git ] || chmod -R u+rwX .git
rm -rf .git
tar -xf "$2"
# Over every .gitattributes that lies there: none hides a text as binary, names another encoding, or a filter.
mkdir -p .git/info
echo '* !diff !text !eol !working-tree-encoding !ident !filter !merge !binary' > .git/info/attributes
git -c core.hooksPath=/dev/null -c core.fileMode=true add --all
git -c core.quotePath=true diff --cached --binary --full-index --no-color --no-ext-diff --no-textconv --no-renames \
  "$1" > "$3"
"""


async def read_patch(hands: RestoredHands, archive: bytes, commit: str) -> bytes | Refused:
    """Return how the files of a workspace differ from a commit.

    What the agent did to the repository's own `.git` (commits, settings, hooks) counts for nothing, and neither do
    attributes. Files that git cannot take are refused: the agent has left them, and would be no better off in another
    box.

    Args:
        hands: The workspace, in a box where nothing has run yet.
        archive: The repository as it was packed.
        commit: The one that is in it.

    Raises:
        SandboxUnavailable: the box was lost, and no other could be had.
    """
    await hands.write_bytes(_GIT, _only_git(archive))
    done = await hands.run(["sh", "-c", _SCRIPT, "sh", commit, _GIT, _PATCH], timeout=READ_SECONDS)
    if done.exit_code != 0:
        said = visible(" ".join(done.stderr.split()))[:500]
        return Refused(kind="malformed", reason=f"git cannot read what the agent has left: {said}")
    return await hands.read_bytes(_PATCH)


def _only_git(archive: bytes) -> bytes:
    """Return the `.git` of an archive, as an archive."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as whole, tarfile.open(fileobj=kept, mode="w") as part:
        for member in whole:
            if member.name == ".git" or member.name.startswith(".git/"):
                part.addfile(member, whole.extractfile(member) if member.isreg() else None)
    return kept.getvalue()
