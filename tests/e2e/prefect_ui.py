"""Prefect's own pages, both versions of them, as a person uses them who is asked for an approval."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from typing import Any

from playwright.sync_api import Locator, Page, Response, expect

PATIENCE_SECONDS = 60.0
"""For whatever a page has to do; the machine may do much else meanwhile."""

_KEEP_WHAT_IS_SAID = """
window.said = [];
new MutationObserver(changes => {
  for (const node of changes.flatMap(change => [...change.addedNodes]))
    if (node.parentElement?.closest(SELECTOR) || node.matches?.(SELECTOR) || node.querySelector?.(SELECTOR))
      window.said.push(node.textContent);
}).observe(document, {childList: true, subtree: true});
"""


class ResumeDialog(ABC):
    """The dialog in which a waiting flow run is resumed.

    Attributes:
        page: The browser's page.
        dialog: The whole of it.
        words: What it shows above the fields: the request's Markdown, rendered.
    """

    dialog: Locator
    words: Locator

    _path: str
    _notices: str
    _submit: str

    def __init__(self, page: Page) -> None:
        self.page = page
        # A notice goes away by itself, perhaps before a busy machine has looked.
        page.add_init_script(_KEEP_WHAT_IS_SAID.replace("SELECTOR", repr(self._notices)))

    def open(self, ui_url: str, flow_run_id: str) -> None:
        """Go to the run's page, and there to the dialog."""
        self.page.goto(f"{ui_url}{self._path}/{flow_run_id}")
        self._open()
        expect(self.switch).to_be_visible()
        expect(self.words).to_be_visible()

    @property
    def switch(self) -> Locator:
        """What is ticked to approve."""
        return self._field("Approve").get_by_role("switch")

    def text(self, name: str) -> Locator:
        """Return a field that text is typed into."""
        return self._field(name).get_by_role("textbox")

    def submit(self) -> dict[str, Any]:
        """Press the button until the server has taken the answer, and return what it says to it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with self.page.expect_response(_is_resume) as caught:
                self.dialog.get_by_role("button", name=self._submit, exact=True).click()
            # SQLite was busy. The pages say so and leave the dialog open, and the person presses again.
            if caught.value.status != 503:
                return caught.value.json()
        raise AssertionError(f"the server was busy for {PATIENCE_SECONDS:.0f} s")

    def wait_until_said(self, text: str) -> None:
        """Wait for a notice, or until one is found that has come and gone."""
        self.page.wait_for_function("text => window.said.some(said => said.includes(text))", arg=text)

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _field(self, name: str) -> Locator: ...


class V1(ResumeDialog):
    """The older pages, which a link to `/runs/...` opens."""

    _path = "/runs/flow-run"
    _notices = ".p-toast-container"
    _submit = "Submit"

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.dialog = page.locator(".p-modal__card")
        self.words = self.dialog.locator(".p-modal__body > article")

    def _open(self) -> None:
        self.page.get_by_role("button", name="Resume", exact=True).click()

    def _field(self, name: str) -> Locator:
        # No label of these pages names its field.
        label = self.page.locator(".schema-form-property__label", has_text=re.compile(rf"^{name} \(Optional\)$"))
        return self.dialog.locator(".schema-form-property", has=label)


class V2(ResumeDialog):
    """The newer pages, which `/` leads to."""

    _path = "/v2/runs/flow-run"
    _notices = "[data-sonner-toast]"
    _submit = "Resume"

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.dialog = page.get_by_role("dialog")
        self.words = self.dialog.locator(".prose")

    def _open(self) -> None:
        self.page.locator("button:has(svg.lucide-ellipsis-vertical)").click()
        self.page.get_by_role("menuitem", name="Resume", exact=True).click()

    def _field(self, name: str) -> Locator:
        return self.dialog.locator(".group", has=self.page.get_by_label(f"{name} (Optional)", exact=True))


def _is_resume(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/resume")
