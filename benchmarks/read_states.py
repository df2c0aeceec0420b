"""What views cost the node, in each state that a vault can be in."""

from __future__ import annotations

import asyncio

import httpx

from benchmarks.common import refuse
from benchmarks.read_contest import Server
from benchmarks.read_stage import CHAIN, Stage
from cache.keys import Keys
from domain.values import Lane


async def node_calls(stage: Stage, server: Server) -> dict[str, dict[str, float]]:
    """Count what views cost the node, in each state that a vault can be in.

    Invalidations and refreshes are done as the workers do them, by the same parts.
    """
    reader = stage.runtime.reader(CHAIN)
    addresses = stage.user.addresses
    values = [Keys().value(address, CHAIN) for address in addresses]
    found: dict[str, dict[str, float]] = {}

    async def views(state: str, path: str, *, expected: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            before = len(stage.node.devnet.log.records())
            began = asyncio.get_running_loop().time()
            count = 20
            for _ in range(count):
                answer = await client.get(path, headers=stage.headers)
                states = {v["freshness"]["state"] for v in answer.json()["vaults"]}
                if answer.status_code != 200 or states != {expected}:
                    refuse(f"{state}: {answer.status_code}, {states}")
            seconds = asyncio.get_running_loop().time() - began
        calls = len(stage.node.devnet.log.records()) - before
        found[state] = {"calls_per_view": calls / count, "ms_per_view": seconds / count * 1000}

    await views("warm", "/user/dashboard", expected="fresh")
    await stage.redis.delete(*values)
    await reader.refill(addresses, lane=Lane.REFRESH)
    await views("expired, refreshed by the workers", "/user/dashboard", expected="fresh")
    height = stage.node.chain.height
    await stage.runtime.cache.invalidate(addresses, CHAIN, height)
    await reader.refill(addresses, lane=Lane.INVALIDATION, required_height=height)
    await views("after a transaction", "/user/dashboard", expected="fresh")
    await stage.redis.delete(*values)
    await views("expired, nobody refreshed", "/user/dashboard", expected="fresh")
    stage.node.stop()
    await stage.redis.delete(*values)
    await views("node down", "/user/dashboard?wait=0", expected="stale")
    return found
