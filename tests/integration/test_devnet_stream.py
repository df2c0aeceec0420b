"""Subscriptions: server-sent events, as the node writes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx
import pytest

from devnet.chain import AccountBalance, Payment
from devnet.coins import Coin
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from devnet.transactions import Transaction
from supervisor.waiting import wait_until

ALICE, BOB = "0x" + "aa" * 32, "0x" + "bb" * 32
TOKEN = "0x" + "01" * 32
WATCH = (
    "subscription($i:TransactionId!,$p:Boolean){statusChange(id:$i,includePreconfirmation:$p)"
    "{__typename ...on SuccessStatus{blockHeight block{height} transaction{status{__typename}}} "
    "...on FailureStatus{reason programState{returnType}} ...on SqueezedOutStatus{reason} "
    "...on PreconfirmationSuccessStatus{txPointer resolvedOutputs{utxoId}}}}"
)


@pytest.fixture
def devnet() -> Iterator[DevnetServer]:
    with DevnetServer() as server:
        server.chain.set_balances([AccountBalance(ALICE, TOKEN, 100)])
        yield server


def pooled(devnet: DevnetServer, failure: str | None = None) -> Transaction:
    transaction = devnet.chain.prepare(Payment(ALICE, BOB, TOKEN, 5))
    devnet.chain.submit(transaction, failure=failure)
    return transaction


async def events(
    devnet: DevnetServer, query: str, **variables: Any
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the answers of a stream, read as the node writes them: no blank after the colon."""
    body = {"query": query, "variables": variables}
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient() as client,
        client.stream("POST", f"{devnet.url}-sub", json=body) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        async for line in response.aiter_lines():
            if line:
                assert line.startswith("data:{")
                yield json.loads(line.removeprefix("data:"))


async def has_begun(devnet: DevnetServer) -> None:
    """Wait until the devnet has read the first request."""
    documents = devnet.devnet.executor.reader._documents
    assert await asyncio.to_thread(wait_until, lambda: bool(documents), seconds=10)


async def kinds(devnet: DevnetServer, query: str, **variables: Any) -> list[str]:
    return [
        event["data"]["statusChange"]["__typename"]
        async for event in events(devnet, query, **variables)
    ]


async def test_a_status_is_followed_until_it_is_final(devnet: DevnetServer) -> None:
    transaction = pooled(devnet)
    seen = []
    async for event in events(devnet, WATCH, i=transaction.transaction_id):
        seen.append(event["data"]["statusChange"])
        if seen[-1]["__typename"] == "SubmittedStatus":
            devnet.chain.produce_blocks()
    assert [status["__typename"] for status in seen] == ["SubmittedStatus", "SuccessStatus"]
    assert seen[1]["blockHeight"] == seen[1]["block"]["height"] == "1"
    assert seen[1]["transaction"]["status"] == {"__typename": "SuccessStatus"}
    assert event["extensions"]["current_fuel_block_height"] == 1


async def test_a_final_status_is_told_at_once_and_alone(devnet: DevnetServer) -> None:
    paid = devnet.chain.transfer(ALICE, BOB, TOKEN, 5)
    assert await kinds(devnet, WATCH, i=paid.transaction_id) == ["SuccessStatus"]


async def test_preconfirmations_are_told_to_those_who_ask(devnet: DevnetServer) -> None:
    async def follow(transaction: Transaction, *, asked: bool) -> list[str]:
        seen = []
        async for event in events(devnet, WATCH, i=transaction.transaction_id, p=asked):
            seen.append(event["data"]["statusChange"]["__typename"])
            if seen == ["SubmittedStatus"]:
                url = f"{devnet.admin_url}/pool/{transaction.transaction_id}/preconfirm"
                async with httpx.AsyncClient() as client:
                    assert (await client.post(url)).is_success
                if not asked:
                    devnet.chain.produce_blocks()
            elif seen[-1] == "PreconfirmationSuccessStatus":
                devnet.chain.produce_blocks()
        return seen

    assert await follow(pooled(devnet), asked=True) == [
        "SubmittedStatus",
        "PreconfirmationSuccessStatus",
        "SuccessStatus",
    ]
    assert await follow(pooled(devnet), asked=False) == ["SubmittedStatus", "SuccessStatus"]


async def test_a_failure_and_its_reason_are_told(devnet: DevnetServer) -> None:
    transaction = pooled(devnet, failure="Revert(123)")
    devnet.chain.produce_blocks()
    async for event in events(devnet, WATCH, i=transaction.transaction_id):
        assert event["data"]["statusChange"] == {
            "__typename": "FailureStatus",
            "reason": "Revert(123)",
            "programState": {"returnType": "REVERT"},
        }


async def test_a_transaction_that_left_the_pool_is_told(devnet: DevnetServer) -> None:
    transaction = pooled(devnet)
    url = f"{devnet.admin_url}/pool/{transaction.transaction_id}/squeeze-out"
    async with httpx.AsyncClient() as client:
        assert (await client.post(url, json={"reason": "too old"})).is_success
        assert (await client.post(url, json={})).status_code == 400
    async for event in events(devnet, WATCH, i=transaction.transaction_id):
        assert event["data"]["statusChange"] == {
            "__typename": "SqueezedOutStatus",
            "reason": "too old",
        }


async def test_an_unknown_transaction_is_waited_for(devnet: DevnetServer) -> None:
    transaction = devnet.chain.prepare(Payment(ALICE, BOB, TOKEN, 5))
    watching = asyncio.create_task(kinds(devnet, WATCH, i=transaction.transaction_id))
    await has_begun(devnet)
    devnet.chain.submit(transaction)
    devnet.chain.produce_blocks()
    assert (await watching)[-1] == "SuccessStatus"


async def test_a_lagging_node_tells_a_final_status_when_it_has_the_block(
    devnet: DevnetServer,
) -> None:
    devnet.devnet.nodes.nodes[0].lag = 1
    paid = devnet.chain.transfer(ALICE, BOB, TOKEN, 5)
    seen = []
    async for event in events(devnet, WATCH, i=paid.transaction_id):
        seen.append(event["data"]["statusChange"]["__typename"])
        if seen == ["SubmittedStatus"]:
            devnet.chain.produce_blocks()
    assert seen == ["SubmittedStatus", "SuccessStatus"]
    assert event["extensions"]["current_fuel_block_height"] == 1


async def test_a_stream_can_be_cut_before_the_final_status(devnet: DevnetServer) -> None:
    transaction = pooled(devnet)
    async with httpx.AsyncClient() as client:
        body = {"kind": "cut_stream", "events": 1, "count": 1}
        await client.post(f"{devnet.admin_url}/faults", json=body)
    assert await kinds(devnet, WATCH, i=transaction.transaction_id) == ["SubmittedStatus"]
    devnet.chain.produce_blocks()
    assert await kinds(devnet, WATCH, i=transaction.transaction_id) == ["SuccessStatus"]
    assert [record.fault for record in devnet.devnet.log.records()] == ["cut_stream", None]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('subscription{statusChange(id:"0x1"){__typename}}', 'Failed to parse "TransactionId"'),
        ("subscription{status}", 'Unknown field "status" on type "Subscription"'),
        ('subscription{submitAndAwait(tx:"0x"){__typename}}', "end too early"),
        (
            "subscription{alpha__preconfirmations{__typename}}",
            "`--expensive-subscriptions` is required for this operation",
        ),
        (
            "subscription{alpha__new_blocks}",
            "`--expensive-subscriptions` is required for this operation",
        ),
    ],
)
async def test_what_cannot_start_is_one_event_without_extensions(
    devnet: DevnetServer, query: str, message: str
) -> None:
    answers = [event async for event in events(devnet, query)]
    assert len(answers) == 1
    assert list(answers[0]) == ["data", "errors"]
    assert message in answers[0]["errors"][0]["message"]


async def test_a_query_gets_one_event(devnet: DevnetServer) -> None:
    answers = [event async for event in events(devnet, "{health}")]
    assert [answer["data"] for answer in answers] == [{"health": True}]


async def test_a_subscription_is_not_answered_without_a_stream(devnet: DevnetServer) -> None:
    async with httpx.AsyncClient() as client:
        body = {"query": WATCH, "variables": {"i": "0x01"}}
        answer = (await client.post(devnet.url, json=body)).json()
    assert answer["errors"][0]["message"] == ("Subscriptions are not supported on this transport.")


async def test_all_preconfirmations_are_told_where_they_are_served() -> None:
    options = DevnetOptions(port=0, block_seconds=0, expensive_subscriptions=True)
    with DevnetServer(options) as devnet:
        query = (
            "subscription{alpha__preconfirmations"
            "{...on PreconfirmationSuccessStatus{transactionId}}}"
        )
        stream = events(devnet, query)
        following = asyncio.ensure_future(anext(stream))
        await has_begun(devnet)
        transaction = devnet.chain.prepare(Payment(None, BOB, TOKEN, 5))
        devnet.chain.submit(transaction)
        while not following.done():
            devnet.chain.preconfirm(transaction.transaction_id)
            await asyncio.wait({following}, timeout=0.05)
        event = following.result()
        await stream.aclose()
    assert event["data"]["alpha__preconfirmations"] == {"transactionId": transaction.transaction_id}


async def test_a_raw_transaction_is_submitted_and_awaited(devnet: DevnetServer) -> None:
    def word(number: int) -> str:
        return f"{number:016x}"

    origin, payer = "c1" * 32, ALICE[2:]
    devnet.chain.ledger.coins.add(Coin(f"0x{origin}0000", ALICE, TOKEN, 1000))
    head = word(0) + word(0) + "00" * 32 + word(0) * 3 + word(1) + word(2) + word(0)
    coin = word(0) + origin + word(0) + payer + word(1000) + TOKEN[2:] + word(0) * 6
    outputs = word(0) + BOB[2:] + word(300) + TOKEN[2:] + word(2) + payer + word(0) + TOKEN[2:]
    query = (
        "subscription($t:HexString!){submitAndAwaitStatus(tx:$t){__typename "
        "...on SuccessStatus{transaction{outputs{...on ChangeOutput{amount}}}}}}"
    )
    seen = []
    async for event in events(devnet, query, t=head + coin + outputs):
        seen.append(event["data"]["submitAndAwaitStatus"])
        if len(seen) == 1:
            devnet.chain.produce_blocks()
    assert seen == [
        {"__typename": "SubmittedStatus"},
        {"__typename": "SuccessStatus", "transaction": {"outputs": [{}, {"amount": "700"}]}},
    ]
    assert devnet.chain.ledger.amounts.latest(BOB, TOKEN) == 300


async def test_a_silent_stream_is_kept_alive(
    devnet: DevnetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.streaming.KEEP_ALIVE_SECONDS", 0.02)
    transaction = pooled(devnet)
    body = {"query": WATCH, "variables": {"i": transaction.transaction_id}}
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient() as client,
        client.stream("POST", f"{devnet.url}-sub", json=body) as response,
    ):
        chunks = ""
        async for text in response.aiter_text():
            chunks += text
            if chunks.count(":keep-alive-text\n\n") == 2:
                devnet.chain.produce_blocks()
    assert chunks.startswith("data:{")
    assert chunks.endswith("}\n\n")
    assert '"SuccessStatus"' in chunks
