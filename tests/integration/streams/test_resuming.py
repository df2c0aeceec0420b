"""A reader who comes again gets what he missed, or everything anew where nobody remembers it."""

from __future__ import annotations

import pytest

from tests.api_support import ETH, served
from tests.stream_site import Site
from tests.stream_support import amount_of, reading


async def test_a_reader_who_comes_again_gets_what_he_missed_and_nothing_else(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    await site.change(address, 6)

    async with reading(site.url, site.headers, after=stream.last_id) as again:
        await again.until("snapshot")

    assert again.told("resumed") == [{"after": stream.last_id}]
    assert again.told("reset") == []
    assert [(d["predicateId"], amount_of(d, ETH)) for d in again.told("balances")] == [(vault, 6)]


async def test_another_process_resumes_from_the_stream_in_redis(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    await site.change(address, 6)

    async with (
        served(site.world) as elsewhere,
        reading(elsewhere, site.headers, after=stream.last_id) as again,
    ):
        await again.until("snapshot")

    assert again.told("resumed") == [{"after": stream.last_id}]
    assert [(d["predicateId"], amount_of(d, ETH)) for d in again.told("balances")] == [(vault, 6)]


async def test_an_id_that_is_too_old_or_of_another_stream_gets_everything_anew(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    position, _, subject = str(stream.last_id).partition(".")
    later = f"{int(position.partition('-')[0]) + 10**9}-0"

    for after in (f"1-0.{subject}", f"{position}.{'0' * 12}", f"{later}.{subject}"):
        async with reading(site.url, site.headers, after=after) as again:
            await again.until("snapshot")

        assert len(again.told("reset")) == 1, after
        assert again.told("resumed") == []
        assert len(again.told("balances")) == 2


@pytest.mark.parametrize(
    "last_id", ["x", "1-1", "1-1.zzzzzzzzzzzz", "-1-1." + "0" * 12, "9" * 30 + "-1." + "0" * 12]
)
async def test_an_id_that_no_stream_ever_said_is_refused(site: Site, last_id: str) -> None:
    answer = await site.world.get(
        "/user/balances/stream", site.headers | {"Last-Event-ID": last_id}
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("site", [{"stream_life_seconds": 0.5}], indirect=True)
async def test_a_stream_ends_at_the_end_of_its_life_and_is_resumed(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.to_the_end()
    async with reading(site.url, site.headers, after=stream.last_id) as again:
        await again.until("resumed")

    assert stream.told("end") == [{"reason": "life"}]
