"""The progress of a warm-up is read, and streamed beside the balances."""

from __future__ import annotations

from cache.warm_ups import Shelf, WarmUps
from tests.api_support import CHAIN_ID
from tests.stream_site import Site
from tests.stream_support import reading


async def test_the_progress_of_a_warm_up_is_read_and_streamed(site: Site) -> None:
    answer = await site.world.get("/user/warm-up", site.headers)
    assert answer.json() == {
        "chainId": CHAIN_ID,
        "state": "none",
        "total": 0,
        "done": 0,
        "failed": 0,
    }
    warm_ups = WarmUps(site.world.redis, 5)
    shelf = Shelf(CHAIN_ID, later=False, request_size=10)
    addresses = list(site.vaults.values())
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        await warm_ups.note_logins({site.user.user_id: addresses}, [CHAIN_ID])
        await warm_ups.offer(shelf, "login", addresses)
        running = await stream.until("warm-up")
        taken, _ = await warm_ups.take(shelf, "part")
        await warm_ups.settle(shelf, "part", done=taken[:1], given_up=taken[1:], again=())
        finished = await stream.until("warm-up", lambda data: data["state"] == "finished")
    answer = await site.world.get("/api/user/warm-up", site.headers)

    assert running.data["state"] == "running"
    assert running.data["total"] == 2
    assert (finished.data["done"], finished.data["failed"]) == (1, 1)
    assert answer.json() == finished.data
    assert answer.headers["cache-control"] == "no-store"
