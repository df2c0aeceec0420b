"""The browser of the tests works here: what fails in `test_*_page.py` is then the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser_support import open_page


def test_a_page_is_rendered_and_its_script_runs(page: Page) -> None:
    page.set_content(
        "<h1>before</h1><script>document.querySelector('h1').textContent += '!'</script>"
    )

    expect(page.locator("h1")).to_have_text("before!")


def _visit_what_is_broken(browser: Browser) -> None:
    with open_page(browser) as page:
        page.set_content("<script>throw new Error('broken')</script><h1>there</h1>")
        expect(page.locator("h1")).to_have_text("there")


def test_a_script_that_breaks_fails_the_test(browser: Browser) -> None:
    with pytest.raises(AssertionError, match="broken"):
        _visit_what_is_broken(browser)
