"""What the API's log says, and never says."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from config.logging import configure_logging
from devnet.server import DevnetServer
from registry.store import Registry
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, KEY, open_world
from tests.databases import bytes32
from tests.integration.test_api_server import address_of, environment_of, program

SECRET = "geheim"
EVERY_PATH = (
    ("GET", "/user/allocation"),
    ("GET", "/predicate/reserved-coins/00000000-0000-4000-8000-000000000000"),
    ("GET", "/predicate/geheim/allocation"),
    ("GET", "/geheim"),
    ("GET", "/internal/cache/stats"),
    ("GET", "/internal/cache/keys?pattern=geheim"),
    ("POST", "/internal/cache/invalidate"),
    ("POST", "/internal/cache/warmup"),
    ("POST", "/internal/events/transaction"),
    ("POST", "/internal/cache/clear"),
)


def test_nothing_that_a_request_or_a_setting_keeps_secret_reaches_the_log(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    environment = environment_of(
        cache_server,
        node.url.replace("//", "//user:geheim@"),
        tmp_path,
        LOG_LEVEL="DEBUG",
        DATABASE_URL=f"postgresql://user:geheim@127.0.0.1:{free_port()}/bako",
        INTERNAL_API_KEY="geheim-key",
        PRICE_SOURCE="https://user:geheim@prices.example/list",
    )
    credentials = (
        {"Authorization": "geheim-token", "signeraddress": "geheim-address"},
        {"Authorization": "geheim\x7f", "signeraddress": bytes32()},
        {"X-API-Key": "geheim-key"},
        {"X-API-Key": "geheim-other"},
    )
    body = {"userId": "geheim", "chainId": CHAIN_ID, "predicateAddress": "0xgeheim"}
    with program(environment, tmp_path) as process:
        address = address_of(process)
        answers = [
            httpx.request(
                method, address + path, headers=headers, json=None if method == "GET" else body
            )
            for headers in credentials
            for method, path in EVERY_PATH
        ]

    log = (tmp_path / "api.log").read_text()
    assert {answer.status_code for answer in answers} >= {401, 404, 422, 503}
    assert '"event": "internal_call_refused"' in log
    assert '"event": "request_unserved"' in log
    assert SECRET not in log
    assert "Traceback" not in log


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**configured)


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("as_json", [True, False])
async def test_an_error_that_nobody_expected_is_told_with_its_place_and_without_values(
    cache_server: EmbeddedServer,
    node: DevnetServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    as_json: bool,
) -> None:
    async def broken(_: Registry, user_id: str) -> None:
        raise RuntimeError(f"broken for a user of {len(user_id)} letters")

    database_url, log = f"sqlite:///{tmp_path}/bako.sqlite3", io.StringIO()
    async with open_world(cache_server.url(), database_url, node) as world:
        monkeypatch.setattr(sys, "stderr", log)
        configure_logging("INFO", as_json=as_json)
        monkeypatch.setattr(Registry, "predicates_of_user", broken)
        user = await world.database.add_user()
        answer = await world.get("/user/allocation", await world.sign_in(user))

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "detail": None,
    }
    written = log.getvalue()
    assert "request_failed" in written
    assert "broken for a user of 36 letters" in written
    assert "test_api_log.py" in written
    for secret in (user.token, user.address, KEY):
        assert secret not in written
    if as_json:
        assert all(json.loads(line) for line in written.splitlines())
