"""Bad bodies on the internal routes: refused clearly, without any effect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api_support import (
    CHAIN_ID,
    KEY,
    World,
)

_BAD_BODIES: list[tuple[str, Any]] = [
    ("/cache/invalidate", {}),
    ("/cache/invalidate", {"predicateAddress": "0x1", "chainId": CHAIN_ID}),
    ("/cache/invalidate", {"predicateAddress": "0xfuel139e53"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "userId": "x"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": 77}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": "9889"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": True}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "blockHeight": 5}),
    ("/cache/invalidate", {"predicateAddres": "0x" + "ab" * 32}),
    ("/cache/invalidate", {"addresses": []}),
    ("/cache/invalidate", {"addresses": ["0x" + "ab" * 32] * 1_001}),
    ("/cache/invalidate", {"all": "true"}),
    ("/cache/invalidate", {"all": True, "chainId": 77}),
    ("/cache/invalidate", {"all": True, "chainId": CHAIN_ID, "blockHeight": 5}),
    ("/cache/clear", {"all": True, "chainId": 77}),
    ("/cache/invalidate", [1]),
    ("/cache/clear", {}),
    ("/cache/clear", {"all": True, "predicateAddress": "0x" + "ab" * 32}),
    ("/cache/warmup", {}),
    ("/events/transaction", {}),
    ("/events/transaction", {"chainId": CHAIN_ID}),
    ("/events/transaction", {"chainId": 77, "predicateAddress": "0x" + "ab" * 32}),
    ("/events/transaction", {"chainId": CHAIN_ID, "predicateAddress": "0x1"}),
    ("/events/transaction", {"chainId": CHAIN_ID, "operations": "many"}),
]


async def test_bad_bodies_are_refused_and_change_nothing(world: World) -> None:
    for path, body in _BAD_BODIES:
        answer = await world.internal(path, body)

        assert answer.status_code == 422, (path, body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.publisher.sent == []
    keys = {str(key).rpartition(":")[0] for key in await world.redis.keys("*")}
    assert {key.removeprefix("b'")[:8] for key in keys} <= {
        "bc",
        "bc:calls",
    }  # the server's name, calls counted


async def test_a_body_that_is_no_json_is_refused(world: World) -> None:
    for content, kind in (
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (json.dumps({"all": True}).encode(), "text/plain"),
        (b"", "application/json"),
    ):
        answer = await world.client.post(
            "/internal/cache/invalidate",
            content=content,
            headers={"X-API-Key": KEY, "Content-Type": kind},
        )
        assert answer.status_code == 422, (content, kind)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"predicateAddress": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"chainId": ' + b"9" * 10_000 + b', "all": true}',
        b'{"chainId": 1e400, "all": true}',
        b'{"chainId": NaN, "all": true}',
        b'{"userId": "\\ud800"}',
        b'{"all": true, "all": false}',
        b'{"predicateAddress": "0x' + b"a" * 900_000 + b'"}',
    ],
)
async def test_a_body_that_is_odd_json_is_refused_clearly(world: World, content: bytes) -> None:
    for path in ("/cache/invalidate", "/cache/clear", "/cache/warmup", "/events/transaction"):
        answer = await world.client.post(
            f"/internal{path}",
            content=content,
            headers={"X-API-Key": KEY, "Content-Type": "application/json"},
        )
        assert 400 <= answer.status_code < 500, (path, content[:40])
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 4_000
    assert world.publisher.sent == []


async def test_a_huge_body_is_refused(world: World) -> None:
    answer = await world.client.post(
        "/internal/cache/invalidate",
        content=b'{"userId": "' + b"x" * 3_000_000 + b'"}',
        headers={"X-API-Key": KEY, "Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
