"""The operator's page in a browser: behind a key, live, and without Flower."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.process_support import running
from tests.worker_support import Site, working_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]

KEY = "the-operators-own-key"
SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "ops.png"
MOST_BYTES = 150_000


@dataclass(frozen=True)
class Served:
    """The API of a site, which has a worker and neither beat nor Flower."""

    site: Site
    origin: str

    def internal(self, path: str, body: object) -> None:
        headers = {"X-API-Key": KEY}
        url = f"{self.origin}/internal/{path}"
        httpx.post(url, json=body, headers=headers, timeout=20).raise_for_status()


# The site first: it runs loops of its own, which none may while a browser is open.
@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, broker_server: EmbeddedServer
) -> Iterator[Served]:
    directory, port = tmp_path_factory.mktemp("ops"), free_port()
    with working_site(directory, broker_server.url(4), INTERNAL_API_KEY=KEY) as site:
        for devnet in site.nodes.values():
            devnet.chain.set_balances(
                AccountBalance(vault, BASE_ASSET_ID, 1000) for vault in site.user.addresses
            )
        with running(directory, "api", **site.environment, API_PORT=str(port)) as program:
            program.wait_for("listening on")
            yield Served(site, f"http://127.0.0.1:{port}")


@pytest.fixture
def ops(served: Served, browser: Browser) -> Iterator[Page]:
    """The page, opened as an operator does: the browser asks him for the key."""
    context = browser.new_context(
        http_credentials={"username": "operator", "password": KEY},
        viewport={"width": 1280, "height": 900},
    )
    page = context.new_page()
    page.goto(f"{served.origin}/ops")
    yield page
    context.close()


def test_nobody_sees_anything_without_a_key(served: Served) -> None:
    for path in ("/ops", "/ops/script.js", "/ops/style.css", "/ops/stream"):
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Basic bm9ib2R5Og=="}):
            answer = httpx.get(served.origin + path, headers=headers, timeout=20)

            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
    page = httpx.get(f"{served.origin}/ops", auth=("anybody", KEY), timeout=20)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert httpx.get(f"{served.origin}/ops", headers={"X-API-Key": KEY}, timeout=20).is_success


def test_the_page_is_live_and_shows_what_operators_do_and_what_fails(
    served: Served, ops: Page
) -> None:
    vaults = served.site.user.addresses
    expect(ops.locator("body")).to_have_attribute("data-live", "yes")
    expect(ops.locator("#nodes tbody tr")).to_have_count(2)
    expect(ops.locator("#lanes tbody tr")).to_have_count(3)
    expect(ops.locator("#beat strong")).to_have_text("silent")

    served.internal("cache/warmup", {"userId": served.site.user.user_id})
    expect(ops.locator("#warmed")).to_contain_text("a login's vaults")

    token = {
        "Authorization": served.site.user.token,
        "signeraddress": served.site.user.user_address,
    }
    url = f"{served.origin}/user/allocation?limit=50"
    httpx.get(url, headers=token, timeout=20).raise_for_status()
    httpx.get(url, headers=token, timeout=20).raise_for_status()
    expect(ops.locator("#freshness strong")).to_have_text(re.compile(r"^10 of 10"))
    expect(ops.locator("#hits strong")).to_contain_text("%")

    event = {"chainId": 9889, "addresses": [vaults[0]], "transactionId": "0xfeed"}
    served.internal("events/transaction", event)
    expect(ops.locator("#invalidated")).to_contain_text("transaction 0xfeed")

    _keep_screenshot(ops)


def _keep_screenshot(page: Page) -> None:
    """Take a picture; the documents' own is written anew only when somebody asks for it."""
    wanted = os.environ.get("WRITE_SCREENSHOTS") == "1"
    picture = page.screenshot(path=SCREENSHOT if wanted else None)

    assert 10_000 < len(picture) < MOST_BYTES
    assert SCREENSHOT.stat().st_size < MOST_BYTES
