"""Chromium without a window, for pages of ours: the machine's own, driven by Playwright.

A test asks for the fixture `page` (in `conftest.py`). While a module has the browser open, an event
loop of Playwright's stands in its thread: tests of such a module are plain functions, not
coroutines, and call nothing that runs a loop of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 30_000
"""How long an expectation and a navigation may take, on a machine that does other things too."""

_VIEWPORT = ViewportSize(width=1280, height=860)

_FLAGS = (
    # CI is root in a container, where Chromium's own sandbox does not start.
    "--no-sandbox",
    "--disable-gpu",
    # Small /dev/shm in containers.
    "--disable-dev-shm-usage",
    # Nothing but the pages under test is asked for anything.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str | None:
    """Return where Chromium is installed, None if it is not."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_browser(executable: str) -> Iterator[Browser]:
    """Start a browser with a new profile, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser) -> Iterator[Page]:
    """Open an empty page; an exception that a script on it does not catch fails the test."""
    context = browser.new_context(viewport=_VIEWPORT)
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(error.stack or error.message))
    try:
        yield page
    finally:
        context.close()
    assert not broken, "\n".join(broken)
