"""Sessions, prices and assets are read as Bako's TypeScript writes them."""

from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.quotes import Quotes, QuoteStore
from cache.sessions import SessionStore
from domain.errors import CacheUnavailableError
from supervisor.ports import free_port
from tests.cache_support import asset


async def test_a_session_is_found_by_its_token(client: Redis) -> None:
    session = {"user_id": "u-1", "network": {"url": "https://node", "chainId": 0}}
    await client.set("session-0xsigned", json.dumps(session))

    assert await SessionStore(client).get("0xsigned") == session


@pytest.mark.parametrize("raw", ["{", "[]", "7", "null", "\ud800".encode("utf-8", "surrogatepass")])
async def test_a_damaged_session_is_none(client: Redis, raw: str | bytes) -> None:
    await client.set("session-t", raw)

    assert await SessionStore(client).get("t") is None


async def test_no_token_and_an_endless_one_are_no_session(client: Redis) -> None:
    store = SessionStore(client)

    assert await store.get("") is None
    assert await store.get("x" * 10_000) is None
    assert await store.get("unknown") is None


async def test_prices_and_assets_are_read_together(client: Redis) -> None:
    maps = {"fuelAssetsList": [{"name": "Ethereum", "networks": []}], "assetsMapById": {}}
    await client.hset("quotes", mapping={asset(1): "3123.45"})
    await client.expire("quotes", 2_400)
    await client.set("assets:maps", json.dumps(maps))

    quotes = await QuoteStore(client).read()

    assert quotes.prices == {asset(1): "3123.45"}
    assert quotes.asset_maps == maps
    assert quotes.as_of_ms is not None
    seconds, microseconds = await client.time()
    assert 0 <= seconds * 1000 + microseconds / 1000 - quotes.as_of_ms < 10_000
    again = await QuoteStore(client).read()
    assert again.version == quotes.version
    await client.hset("quotes", asset(1), "3123.46")
    assert (await QuoteStore(client).read()).version != quotes.version


async def test_without_prices_nothing_is_guessed(client: Redis) -> None:
    assert await QuoteStore(client).read() == Quotes()


async def test_keys_of_another_type_are_read_as_empty(client: Redis) -> None:
    await client.set("quotes", "text")
    await client.rpush("assets:maps", "list")

    assert await QuoteStore(client).read() == Quotes()


async def test_a_redis_that_is_gone_is_an_error_and_not_an_absent_session() -> None:
    client = connect(f"redis://:secret@127.0.0.1:{free_port()}/0")

    with pytest.raises(CacheUnavailableError) as caught:
        await SessionStore(client).get("t")

    assert "secret" not in str(caught.value)
    await client.aclose()
