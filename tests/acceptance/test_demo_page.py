"""The demo page of `balance-cache up`, in a browser: it fills, changes by itself, never lies."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.process_support import running

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]


@dataclass(frozen=True)
class Up:
    """A running system, by what it printed."""

    page: str
    api: str
    node: str
    database: Path

    @contextmanager
    def node_down(self) -> Iterator[None]:
        faults = f"{self.node}/devnet/faults"
        httpx.post(faults, json={"kind": "server_error"}, timeout=20).raise_for_status()
        try:
            yield
        finally:
            httpx.delete(faults, timeout=20).raise_for_status()

    def add_vault(self, name: str) -> None:
        """Add a vault that nobody has ever fetched, beside the user's first one."""
        with closing(sqlite3.connect(self.database)) as database:
            row = database.execute("SELECT * FROM predicates WHERE name = 'Vault 1'")
            columns = [column[0] for column in row.description]
            values = dict(zip(columns, row.fetchone(), strict=True))
            values |= {"id": str(uuid4()), "name": name}
            values |= {"predicate_address": "0x" + uuid4().hex + uuid4().hex}
            places = ", ".join("?" * len(values))
            names = ", ".join(columns)
            statement = f"INSERT INTO predicates ({names}) VALUES ({places})"  # noqa: S608 - names of columns
            database.execute(statement, tuple(values.values()))
            database.commit()


@pytest.fixture(scope="module")
def up(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The whole system, once; `browser` first, so that nothing starts where there is none."""
    directory = tmp_path_factory.mktemp("up")
    environment = {
        "DATABASE_URL": f"sqlite:///{directory}/bako.sqlite3",
        "STREAM_MEMBERSHIP_SECONDS": "1",
        "STREAM_LOOK_SECONDS": "1",
    }
    with running(directory, "up", **environment) as program:
        program.wait_for("Ctrl-C ends everything")
        printed = program.output()
        patterns = (r"Page +(\S+)", r"API +(\S+)", r"node +(http://[^/]+)")
        page, api, node = (re.findall(pattern, printed)[0] for pattern in patterns)
        yield Up(page, api, node, directory / "bako.sqlite3")


def cards(page: Page, state: str) -> Locator:
    return page.locator(f'.card[data-state="{state}"]')


def amounts(page: Page) -> dict[str, str]:
    """What each card shows of the first asset, by vault."""
    return {
        card.locator("h3").inner_text(): card.locator(".assets b").first.inner_text()
        for card in page.locator(".card").all()
    }


def test_cards_fill_and_both_vaults_change_after_a_transaction_without_a_reload(
    up: Up, page: Page
) -> None:
    page.goto(up.page)
    expect(cards(page, "fresh")).to_have_count(10)
    expect(page.locator("#total")).to_have_text("10.000 ETH")
    before = amounts(page)
    page.evaluate("window.isTheSamePage = true")

    page.locator("#pay").click()

    expect(page.locator("#news")).to_contain_text("both vaults right")
    expect(cards(page, "fresh")).to_have_count(10)
    after = amounts(page)
    changed = {name for name in after if after[name] != before[name]}
    assert set(before.values()) == {"1.000"}
    assert len(changed) == 2
    assert all(name in page.locator("#news").inner_text() for name in changed)
    assert page.locator("#total").inner_text() == "10.000 ETH"
    assert page.evaluate("window.isTheSamePage") is True
    assert page.evaluate("location.hash") == ""  # the token does not stay in the address


def test_with_the_node_down_cards_say_as_of_when_and_what_nobody_knows_is_not_zero(
    up: Up, page: Page
) -> None:
    page.goto(up.page)
    expect(cards(page, "fresh")).to_have_count(10)
    before = amounts(page)
    with up.node_down():
        page.locator("#pay").click()
        expect(cards(page, "stale")).to_have_count(2)
        expect(cards(page, "stale").first.locator(".freshness")).to_contain_text("as of")
        assert amounts(page) == before  # the last known ones, and marked
        page.reload()
        expect(cards(page, "stale")).to_have_count(2)
        expect(cards(page, "stale").last.locator(".freshness")).to_contain_text("as of")

        up.add_vault("Vault 11")
        expect(cards(page, "missing")).to_have_count(1)
        expect(cards(page, "missing")).to_contain_text("not known yet")
        expect(page.locator("#total")).to_contain_text("at least")
        assert amounts(page)["Vault 11"] == "—"
        assert not {"0", "0.000"} & set(amounts(page).values())

    expect(cards(page, "fresh")).to_have_count(11)  # without a reload
    assert amounts(page)["Vault 11"] == "0"  # now it is known to be empty
    expect(page.locator("#total")).to_have_text("10.000 ETH")


def test_without_a_session_the_page_asks_for_one_and_refuses_a_wrong_one(
    up: Up, page: Page
) -> None:
    page.goto(f"{up.api}/demo")
    expect(page.locator("#sign-in")).to_be_visible()
    page.locator("[name=token]").fill("no such token")
    page.locator("[name=user]").fill("0x00")
    page.locator("#sign-in button").click()

    expect(page.locator("#link-text")).to_have_text("signed out")
    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#pay")).to_be_disabled()
