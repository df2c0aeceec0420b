"""Fixtures that every level shares: private servers on free ports, never a shared one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from supervisor.valkey import BROKER_POLICY, EmbeddedServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.broker_support import Server as Broker
    from tests.rabbitmq_support import PrivateRabbit


def require(available: bool, what: str) -> None:
    """Skip where a service is absent, on a developer's machine; fail for it in CI."""
    if available:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is required in CI")
    pytest.skip(f"{what} is not available here")


@pytest.fixture(scope="session")
def cache_server() -> Iterator[EmbeddedServer]:
    """A private cache server for the whole session."""
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL database with Bako's tables for the whole session; tests add users of theirs."""
    from tests import databases  # only those who ask for it pay for the import

    require(asyncio.run(databases.postgres_answers()), "PostgreSQL")
    with asyncio.Runner() as runner:
        database = databases.fresh_postgres()
        url = runner.run(database.__aenter__())
        try:
            runner.run(databases.create_schema(url))
            yield url
        finally:
            runner.run(database.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def broker_server() -> Iterator[EmbeddedServer]:
    """A private broker server for the whole session."""
    server = EmbeddedServer.start(policy=BROKER_POLICY)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[PrivateRabbit]:
    """A private RabbitMQ for the whole session; modules take virtual hosts of it."""
    from tests.rabbitmq_support import PrivateRabbit

    server = PrivateRabbit()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def task_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each broker in turn, for modules that are run on both."""
    from tests.broker_support import broker_of

    with broker_of(str(request.param), request) as broker:
        yield broker


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for a module whose tests are no coroutines (see `browser_support`)."""
    from tests import browser_support

    path = browser_support.chromium_path()
    require(path is not None, "Chromium (Debian: apt-get install chromium)")
    with browser_support.open_browser(str(path)) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page, with nothing left of other tests; `page.goto(…)`, then `expect(…)`."""
    from tests import browser_support

    with browser_support.open_page(browser) as page:
        yield page
