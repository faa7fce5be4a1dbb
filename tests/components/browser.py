"""A real Chromium, driven by Playwright, that reaches nothing but this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = (
    # Prefect's newer pages ask a metrics service for its settings whenever they are opened.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    # Without a graphics card the picture of a run's tasks, drawn anew all the time, keeps two cores busy.
    "--disable-3d-apis",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium(browser: Path) -> Iterator[Browser]:
    """One Chromium for a module, and not for the session: while Playwright is there, no async test can run."""
    # Imported here, so that whoever runs the loop's tests alone does not wait for it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without Chromium's own sandbox, which root has none of: the only pages are our own server's.
        opened = playwright.chromium.launch(executable_path=browser, args=FLAGS, chromium_sandbox=False)
        yield opened
        opened.close()
