"""Ten coding agents in ten boxes: a batch of tasks, each to its own end, and nothing left on the engine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser

from tests.e2e.hands.boxes import docker
from tests.e2e.hands.shop import BUG, MENDED, PAGES, edit, git, repository, shell
from tests.e2e.prefect_ui import PATIENCE_SECONDS, V2
from tests.e2e.stack import PROJECT, Home, Up, poll
from tests.e2e.waiting_runs import ledger, resume
from triptych.runtime.approval.page import GOES_ON
from triptych.runtime.coding.reports import FixBatchReport, FixRow

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone", "hands_image")]

ENDS = {
    "applied": "applied",
    "applied-too": "applied",
    "meets-it": "applied",
    "asks": "applied",
    "asks-in-vain": "denied",
    "wrong": "tests_failed",
    "nothing": "no_patch",
    "touches-ci": "refused",
    "gives-up": "gave_up",
    "own-command": "applied",
}


def task(name: str, *actions: dict[str, Any], outcome: str = "fixed", **more: Any) -> dict[str, Any]:
    plan = {"actions": list(actions), "fix": {"outcome": outcome, "summary": f"This is what {name} did."}}
    return {"name": name, "approve": False, "plan": plan, **more}


def tasks(folder: Path) -> dict[str, Any]:
    planted = "mkdir -p .git/hooks && echo 'touch /tmp/x' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit"
    own = ["sh", "-c", f"echo working on: $1; sed -i 's/{BUG}/{MENDED}/' shop/pages.py", "sh", "{instruction}"]
    return {
        "defaults": {
            "repository": str(folder),
            "instruction": "The last page is missing.",
            "test": "python3 -m unittest -q",
        },
        "tasks": [
            # A commit of the agent's own and a hook of its own count for nothing.
            task("applied", shell(planted), edit(MENDED), shell("git commit -qam x; git config core.pager 'sh -c id'")),
            task("applied-too", edit(MENDED), edit("-(-len(rows) // size)", old="len(rows) // size")),
            task("meets-it", edit("len(rows) + 0, size")),
            task("asks", edit(MENDED), approve=True),
            task("asks-in-vain", edit(MENDED), approve=True),
            task("wrong", edit("len(rows) - 2 * size, size")),
            task("nothing", shell("python3 -m unittest -q || true")),
            task("touches-ci", edit(MENDED), shell("mkdir -p .github/workflows && echo x > .github/workflows/ci.yml")),
            task("gives-up", outcome="gave_up"),
            {"name": "own-command", "approve": False, "agent": "command", "command": {"argv": own}},
        ],
    }


@dataclass(frozen=True)
class Stage:
    up: Up
    repository: Path
    file: Path
    first: FixBatchReport
    """As the batch ended: two tasks wait for a person."""
    runs: dict[str, str]


@pytest.fixture(scope="module")
def stage(docker_alone: None, brain_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("h")
    owned = repository(folder / "shop")
    file = folder / "tasks.yaml"
    file.write_text(yaml.safe_dump(tasks(owned)))
    settings = {"TRIPTYCH_BRAIN__NETWORK": "none", "TRIPTYCH_BRAIN__IMAGE": brain_image}
    home = Home(folder / "home", settings)
    started = home.json("up")
    up = Up(folder=home.folder, settings=settings, api_url=started["api_url"])
    report = FixBatchReport.model_validate(up.json("fix", str(file), code=1))
    yield Stage(up, owned, file, report, {row.task: row.flow_run_id for row in report.rows})
    home.run("down")
    assert docker("ps", "--all", "--quiet") == []
    assert not (folder / "a-hook-ran").exists()


def row_of(report: FixBatchReport, name: str) -> FixRow:
    return next(row for row in report.rows if row.task == name)


def test_each_task_comes_to_its_own_end(stage: Stage) -> None:
    ends = {row.task: row.report.outcome for row in stage.first.rows if row.report is not None}
    assert ends == {name: end for name, end in ENDS.items() if not name.startswith("asks")}
    assert {row.task for row in stage.first.rows if row.status == "waiting"} == {"asks", "asks-in-vain"}
    for row in stage.first.rows:
        report = row.report
        if report is None:
            continue
        assert report.before is not None
        assert report.before.outcome == "failed"
        assert (report.applied is not None) == (report.outcome == "applied")
        assert bool(report.reason) == (report.outcome != "applied")
    # Nobody's process, container or box waits for a person.
    poll("the end of all containers", lambda: docker("ps", "--all", "--quiet") == [])


def test_a_patch_is_on_a_branch_of_its_own(stage: Stage) -> None:
    row = row_of(stage.first, "applied")
    assert row.report is not None
    applied, after = row.report.applied, row.report.after
    assert applied is not None
    assert after is not None
    assert after.outcome == "passed"
    owned = stage.repository
    assert applied.branch == f"triptych/applied-{row.flow_run_id[:8]}"
    assert git(owned, "rev-parse", applied.branch) == applied.commit
    assert git(owned, "rev-parse", f"{applied.branch}^") == git(owned, "rev-parse", "main")
    assert git(owned, "log", "-1", "--format=%an <%ae>", applied.branch) == "Mia Owner <mia@example.com>"
    assert git(owned, "diff", "--name-only", "main", applied.branch) == "shop/pages.py"
    # Where the owner works, nothing has changed.
    assert git(owned, "status", "--porcelain") == ""
    assert git(owned, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert (owned / "shop" / "pages.py").read_text() == PAGES


def test_patches_that_meet_are_named(stage: Stage) -> None:
    """Those that wait for a person too: that is when it is good to know."""
    meets = {row.task: row.conflicts_with for row in stage.first.rows if row.conflicts_with}
    others = ("applied", "applied-too", "asks", "asks-in-vain", "own-command")
    assert meets == {**dict.fromkeys(others, ("meets-it",)), "meets-it": others}


def test_why_a_task_ended_is_said(stage: Stage) -> None:
    why = {row.task: row.report.reason for row in stage.first.rows if row.report is not None}
    assert ".github/workflows/ci.yml" in why["touches-ci"]
    assert "gives-up" in why["gives-up"]
    assert "empty" in why["nothing"]
    assert "failed" in why["wrong"]


def test_a_person_reads_the_diff_and_says_yes(stage: Stage, chromium: Browser) -> None:
    up, run = stage.up, stage.runs["asks"]
    artifacts = [each for each in up.post("artifacts/filter", {}) if each["flow_run_id"] == run]
    (whole,) = [each["data"] for each in artifacts if (each["key"] or "").startswith("patch-")]
    assert MENDED in re.sub(f"\n    {GOES_ON}[-+]", "", whole)
    context = chromium.new_context(viewport={"width": 1600, "height": 2000})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    dialog = V2(context.new_page())
    try:
        dialog.open(up.api_url.removesuffix("/api"), run)
        blocks = [each.text_content() or "" for each in dialog.words.locator("pre").all()]
        # A long line goes on in the next, in its own column.
        (diff,) = [re.sub(f"\n{GOES_ON}[-+]", "", each) for each in blocks if "diff --git" in each]
        assert f"-    return [rows[i : i + size] for i in range(0, {BUG})]" in diff
        assert f"+    return [rows[i : i + size] for i in range(0, {MENDED})]" in diff
        dialog.switch.click()
        dialog.text("Name").fill("Mia")
        assert dialog.submit()["status"] == "ACCEPT"
    finally:
        folder = Path(os.environ.get("TRIPTYCH_SCREENSHOTS") or PROJECT / ".screenshots")
        dialog.page.screenshot(path=folder / "fix-at-the-end.png")
        context.close()
    up.wait_for(run, "Completed")
    request, decision = ledger(up, run)
    assert (request.tool, decision.outcome, decision.claimed_name) == ("apply_patch", "approved", "Mia")
    branch = f"triptych/asks-{run[:8]}"
    assert git(stage.repository, "diff", "--name-only", "main", branch) == "shop/pages.py"


def test_a_person_says_no(stage: Stage) -> None:
    up, run = stage.up, stage.runs["asks-in-vain"]
    assert resume(up, run, {"approve": False, "name": "Mia", "reason": "not like this"})["status"] == "ACCEPT"
    up.wait_for(run, "Completed")
    assert git(stage.repository, "branch", "--list", f"triptych/asks-in-vain-{run[:8]}") == ""


def test_the_summary_is_completed_when_the_last_one_ends(stage: Stage) -> None:
    def rows() -> dict[str, dict[str, Any]]:
        tables = [each for each in stage.up.post("artifacts/latest/filter", {}) if "fixes-" in (each["key"] or "")]
        return {row["task"]: row for each in tables for row in json.loads(each["data"])}

    poll("the whole summary", lambda: {task: row["outcome"] for task, row in rows().items()} == ENDS)
    # What the batch found out stays, but for the patch that was denied.
    assert rows()["meets-it"]["conflicts with"] == "applied, applied-too, asks, own-command"
    assert rows()["asks-in-vain"]["conflicts with"] == ""


def test_a_task_is_not_done_twice_by_a_deployed_batch_either(stage: Stage) -> None:
    up = stage.up
    deployment = up.get("deployments/name/fix-batch/fix-batch")
    asked = {"state": {"type": "SCHEDULED"}, "parameters": {"path": str(stage.file)}}
    batch = up.post(f"deployments/{deployment['id']}/create_flow_run", asked)["id"]
    up.wait_for(batch, "Completed")
    # The runs that there were belong to it, and there is no other.
    of_it = [run["id"] for run in up.flow_runs(tags={"all_": [f"fixes:{batch}"]})]
    assert sorted(of_it) == sorted(stage.runs.values())


def test_what_only_could_not_be_applied_is_applied_without_an_agent(stage: Stage, tmp_path: Path) -> None:
    owned, up = repository(tmp_path / "shop"), stage.up
    (owned / "shop" / "pages.py").write_text(PAGES + "# not committed\n")
    batch = tasks(owned)
    batch["tasks"] = [task("meets-changes", edit(MENDED)), task("no-command", edit(MENDED), test="no-such-runner -q")]
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump(batch))
    done = up.run("fix", str(file), "--json", code=1)
    assert f"{owned} has uncommitted changes" in " ".join(done.stderr.split())
    first = FixBatchReport.model_validate_json(done.stdout)
    refused, none = (row_of(first, name).report for name in ("meets-changes", "no-command"))
    assert refused is not None
    assert (refused.outcome, refused.applied) == ("not_applied", None)
    # What cannot even be started passes with no patch: nobody was paid for one.
    assert none is not None
    assert (none.outcome, none.worked) == ("failed", None)
    assert "no-such-runner" in none.reason
    git(owned, "checkout", "--", ".")
    row = row_of(FixBatchReport.model_validate(up.json("fix", str(file), "--again", code=1)), "meets-changes")
    assert row.report is not None
    assert row.report.applied is not None
    assert row.flow_run_id != refused.flow_run_id
    # The branch says which run's work it is.
    assert row.report.applied.branch == f"triptych/meets-changes-{refused.flow_run_id[:8]}"
    assert git(owned, "diff", "--name-only", "main", row.report.applied.branch) == "shop/pages.py"
    assert (row.report.worked, row.report.patch) == (refused.worked, refused.patch)
    assert "no agent took a step in it" in " ".join(up.run("history", row.flow_run_id, code=1).stderr.split())


def test_repositories_that_cannot_be_worked_on_are_told_together(stage: Stage, tmp_path: Path) -> None:
    """Before anything is started."""
    nobodys = repository(tmp_path / "nobodys")
    git(nobodys, "config", "--unset", "user.email")
    batch = tasks(stage.repository)
    batch["tasks"] = [
        task("lacks-ref", edit(MENDED), base="no-such-branch"),
        task("lacks-identity", edit(MENDED), repository=str(nobodys)),
        task("lacks-tool", {"name": "mend", "arguments": {}}),
        {name: value for name, value in task("lacks-plan").items() if name != "plan"},
        task("lacks-nothing", edit(MENDED)),
    ]
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump(batch))
    # In a home without a git configuration, which would have an identity for every repository.
    lacking = stage.up.run("fix", str(file), code=2, HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    said = " ".join(lacking.stderr.split())
    assert "task lacks-ref: " in said
    assert "no-such-branch" in said
    assert "task lacks-identity: " in said
    assert "user.email" in said
    assert "task lacks-tool: the scripted model's plan does not fit the agent: it calls the tool mend" in said
    assert "task lacks-plan: the scripted model has no plan" in said
    assert "Traceback" not in said
    assert stage.up.flow_runs(name={"like_": "fix lacks-"}) == []


def test_a_task_file_is_refused_whole(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "tasks.yaml"
    file.write_text("tasks:\n  - name: one\n    repository: nowhere\n    instruction: x\n    tset: true\n")
    done = stage.up.run("fix", str(file), code=2)
    assert "tasks.yaml:5" in done.stderr
    assert "did you mean" in done.stderr or "test" in done.stderr
    assert "Traceback" not in done.stderr
