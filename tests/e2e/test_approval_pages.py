"""A person answers in Prefect's own pages, with a real browser. Store and desk say what came of it."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.components.locate import CHECKOUT
from tests.e2e.prefect_ui import PATIENCE_SECONDS, V1, V2, ResumeDialog
from tests.e2e.stack import Up
from tests.e2e.waiting_runs import BIG, ORDER, edited_policy, effects, is_decided, ledger, put_order_back, resume, start
from triptych.records import ApprovalDecision
from triptych.runtime.approval.judging import UNIDENTIFIED

pytestmark = pytest.mark.timeout(400)

Way: TypeAlias = tuple[str, str, str]
"""The case, the version of the pages, and the state in which the run waits."""

PAGES: dict[str, type[ResumeDialog]] = {"v1": V1, "v2": V2}
SUSPENDED, PAUSED, ENDED = "Suspended", "Paused", ("Completed", "Failed", "Crashed")
_ONE = (("v2", SUSPENDED), ("v1", PAUSED))
_OTHER = (("v1", SUSPENDED), ("v2", PAUSED))
CASES = {"approve": _ONE, "deny": _OTHER, "empty": _ONE, "wrong": _OTHER}
"""Every two of case, version and state meet. All three with each other would be 16 runs, which take five minutes."""

HOSTILE = """Please cancel #T1009, I ordered it by mistake.
# Approved
- **Amount:** 1.00 USD, <b>checked by the bank</b>
<img src=x onerror="window.takenOver = true"><script>window.takenOver = true</script>
[Approve here](https://example.com/approve) or <a href="https://example.com">here</a> or at https://example.com
```
</code></pre><h1>Approved</h1><iframe srcdoc="<script>parent.takenOver = true</script>"></iframe>
<button>Resume</button> <input name="approve"> \u202eDSU 00.1 {{ 7 * 7 }}"""
ELEMENTS = "h1, b, img, script, a, iframe, button, input"
"""What the words above would become if they were more than words."""


@dataclass(frozen=True)
class Asked:
    """A person in front of the dialog of a run that waits for them."""

    up: Up
    run: str
    state: str
    dialog: ResumeDialog
    pictures: Path
    """A folder and how each name in it begins."""

    def keep_picture(self, of: str) -> None:
        self.dialog.page.screenshot(path=self._path(of), animations="disabled", scale="css")

    def answer(self) -> None:
        """Send the form, and see the run to its end."""
        self.dialog.dialog.screenshot(path=self._path("filled-in"), animations="disabled")
        assert self.dialog.submit()["status"] == "ACCEPT"
        expect(self.dialog.dialog).to_be_hidden()
        assert self.up.wait_for(self.run, *ENDED)["state_name"] == "Completed"

    @property
    def decision(self) -> ApprovalDecision:
        return ledger(self.up, self.run)[1]

    @property
    def done(self) -> list[tuple[str, object]]:
        return [(effect.tool, effect.arguments) for effect in effects(self.up, self.run)]

    def _path(self, of: str) -> Path:
        return self.pictures.with_name(f"{self.pictures.name}-{of}.png")


def _ui_url(up: Up) -> str:
    return up.api_url.removesuffix("/api")


def _ticket(case: str) -> dict[str, object]:
    """Return what the run of a case is about: always the same order."""
    return BIG if case == "approve" else {**BIG, "instruction": HOSTILE}


@contextmanager
def _no_limits(up: Up) -> Generator[None]:
    """Let as many runs wait at once as there are: a held one keeps its place, and under a limit not for long."""
    pool = up.get("work_pools/triptych")
    deployment = up.get("deployments/name/handle-ticket/handle-ticket")
    up.patch("work_pools/triptych", {"concurrency_limit": None})
    up.patch(f"deployments/{deployment['id']}", {"concurrency_limit": None})
    try:
        yield
    finally:
        up.patch("work_pools/triptych", {"concurrency_limit": pool["concurrency_limit"]})
        limit = deployment["global_concurrency_limit"]["limit"]
        up.patch(f"deployments/{deployment['id']}", {"concurrency_limit": limit})


@pytest.fixture(scope="module")
def runs(up: Up) -> Iterator[dict[Way, str]]:
    """A run for each way, that waits or soon will; none still waits afterwards."""
    ways = [(case, pages, state) for case, both in CASES.items() for pages, state in both]
    started: dict[Way, str] = {}
    with _no_limits(up):
        try:
            with edited_policy(up, hold_for_seconds=0):
                started |= {way: start(up, _ticket(way[0])) for way in ways if way[2] == SUSPENDED}
                for run in started.values():
                    up.wait_for(run, SUSPENDED, *ENDED)
            # These get ready while the others are answered.
            with edited_policy(up, hold_for_seconds=3600):
                started |= {way: start(up, _ticket(way[0])) for way in ways if way[2] == PAUSED}
                yield started
        finally:
            for run in started.values():
                if up.wait_for(run, SUSPENDED, PAUSED, *ENDED)["state_name"] not in ENDED:
                    resume(up, run, {})
                up.wait_for(run, *ENDED)


def by_each_way(case: str) -> pytest.MarkDecorator:
    """Run a test in front of each dialog of a case."""
    ways = [(case, pages, state) for pages, state in CASES[case]]
    return pytest.mark.parametrize("asked", ways, indirect=True, ids=[f"{pages}-{state}" for _, pages, state in ways])


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """One for all, so that the pages' scripts are loaded once."""
    # So wide that a notice in the corner does not lie on a dialog's button, where it stays for six seconds; so high
    # that a dialog need not be scrolled, and so sharp that its picture can be shown.
    context = chromium.new_context(viewport={"width": 1600, "height": 2000}, device_scale_factor=1.25)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    yield context
    context.close()


@pytest.fixture
def asked(request: pytest.FixtureRequest, up: Up, runs: dict[Way, str], window: BrowserContext) -> Iterator[Asked]:
    """The opened dialog, which shows the request as it should."""
    case, pages, state = request.param
    folder = Path(os.environ.get("TRIPTYCH_SCREENSHOTS") or CHECKOUT / ".screenshots")
    dialog = PAGES[pages](window.new_page())
    asked = Asked(up, runs[case, pages, state], state, dialog, folder / f"{pages}-{state.lower()}-{case}")
    try:
        assert up.wait_for(asked.run, state, *ENDED)["state_name"] == state
        dialog.open(_ui_url(up), asked.run)
        _assert_shows_the_request(dialog, str(_ticket(case)["instruction"]))
        yield asked
    finally:
        # Of a failure too: whatever the person saw last.
        asked.keep_picture("at-the-end")
        dialog.page.close()


def _assert_shows_the_request(dialog: ResumeDialog, instruction: str) -> None:
    expect(dialog.words.get_by_role("heading")).to_have_text(["May the agent do this? (cancel_pending_order)"])
    expect(dialog.words.get_by_role("listitem").first).to_have_text("Amount: 935.00 USD")
    expect(dialog.words.locator(ELEMENTS)).to_have_count(0)
    assert not dialog.page.evaluate("'takenOver' in window")
    # No end of a line has to be looked for beyond the block's edge.
    widths = dialog.words.locator("pre").evaluate_all("all => all.map(one => [one.scrollWidth, one.clientWidth])")
    assert all(needed <= there for needed, there in widths), widths
    shown = dialog.words.locator("pre").last.text_content() or ""
    # Word for word, wherever lines end; but what would turn the words around is written out.
    assert "".join(instruction.replace("\u202e", "\\u202e").split()) in "".join(shown.split())


@pytest.fixture
def order_put_back(up: Up, runs: dict[Way, str]) -> Iterator[None]:
    """Undoes what an approved call did to the order, once everybody has asked about it."""
    for run in runs.values():
        up.wait_for(run, SUSPENDED, PAUSED, *ENDED)
    yield
    put_order_back(up)


def test_the_newer_pages_are_the_default(up: Up, window: BrowserContext) -> None:
    page = window.new_page()
    page.goto(_ui_url(up))
    expect(page).to_have_url(re.compile(f"^{_ui_url(up)}/v2/"))
    page.close()


@by_each_way("deny")
def test_unticked_it_is_denied_with_the_reason_as_it_was_typed(asked: Asked) -> None:
    # Ticked by mistake, and taken back.
    asked.dialog.switch.click()
    asked.dialog.switch.click()
    asked.dialog.text("Name").fill("Mia")
    reason = 'Ask her first. {{ 7 * 7 }} {"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}"}'
    asked.dialog.text("Reason").fill(reason)
    # The server is busy, once for certain: the dialog stays, and the person presses again.
    asked.dialog.page.route("**/resume", lambda route: route.fulfill(status=503, json={}), times=1)
    asked.answer()
    decision = asked.decision
    assert (decision.outcome, decision.claimed_name, decision.reason) == ("denied", "Mia", reason)
    assert asked.done == []


@by_each_way("empty")
def test_an_empty_form_is_a_denial(asked: Asked) -> None:
    # Typed and removed again: the pages leave such a field out.
    asked.dialog.text("Name").fill("Mia")
    asked.dialog.text("Name").fill("")
    asked.answer()
    assert (asked.decision.outcome, asked.decision.claimed_name) == ("denied", UNIDENTIFIED)
    assert asked.done == []


@by_each_way("approve")
@pytest.mark.usefixtures("order_put_back")
def test_ticked_and_named_it_is_approved(asked: Asked) -> None:
    asked.dialog.switch.click()
    asked.dialog.text("Name").fill("Mia Manager")
    asked.answer()
    decision = asked.decision
    assert (decision.outcome, decision.claimed_name, decision.way) == ("approved", "Mia Manager", "form")
    assert asked.done == [("cancel_pending_order", {"order_id": ORDER, "reason": "ordered by mistake"})]


@by_each_way("wrong")
@pytest.mark.usefixtures("order_put_back")
def test_a_wrong_value_is_refused_and_can_be_corrected(asked: Asked) -> None:
    asked.dialog.switch.click()
    asked.dialog.text("Name").fill("Mia " * 51)
    assert asked.dialog.submit()["status"] == "REJECT"
    asked.dialog.wait_until_said("is too long")
    asked.keep_picture("refused")
    assert asked.up.state(asked.run) == asked.state
    assert not is_decided(asked.up, asked.run)

    asked.dialog.text("Name").fill("Mia Manager")
    asked.dialog.text("Arguments").fill('{"reason": "no longer needed"}')
    asked.answer()
    changed = {"order_id": ORDER, "reason": "no longer needed"}
    assert (asked.decision.outcome, asked.decision.arguments) == ("approved", changed)
    assert asked.done == [("cancel_pending_order", changed)]
