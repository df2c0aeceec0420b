"""The devnet over HTTP: answers, refusals, heights, the admin interface."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from devnet.options import BASE_ASSET_ID, DevnetOptions, Limits
from devnet.server import DevnetServer, listen
from domain.errors import ConfigurationError
from supervisor.ports import is_listening
from supervisor.processes import spawn, stop

ALICE, BOB = "0x" + "aa" * 32, "0x" + "bb" * 32
TOKEN = "0x" + "01" * 32
BALANCE = "query($o:Address!,$a:AssetId!){balance(owner:$o,assetId:$a){amountU128}}"


@pytest.fixture
def devnet() -> Iterator[DevnetServer]:
    with DevnetServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_devnet() -> Iterator[DevnetServer]:
    """One that nobody changes: for requests that are refused."""
    with DevnetServer() as server:
        yield server


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


def graphql(
    client: httpx.Client, url: str, query: str, *, required: int | None = None, **variables: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {"query": query, "variables": variables}
    if required is not None:
        body["extensions"] = {"required_fuel_block_height": required}
    response = client.post(url, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def balance(client: httpx.Client, url: str, owner: str = BOB, **options: Any) -> int:
    answer = graphql(client, url, BALANCE, o=owner, a=TOKEN, **options)
    return int(answer["data"]["balance"]["amountU128"])


def test_a_story_of_accounts_and_a_transfer(devnet: DevnetServer, client: httpx.Client) -> None:
    entry = {"owner": ALICE, "assetId": TOKEN, "amount": str(2**70)}
    assert client.post(f"{devnet.admin_url}/accounts", json={"balances": [entry]}).is_success
    paid = client.post(
        f"{devnet.admin_url}/transfer",
        json={"from": ALICE, "to": BOB, "assetId": TOKEN, "amount": 7},
    ).json()
    assert paid["blockHeight"] == 1
    assert balance(client, devnet.url) == 7
    assert balance(client, devnet.url, ALICE) == 2**70 - 7
    query = "query($i:TransactionId!){transaction(id:$i){status{...on SuccessStatus{blockHeight}}}}"
    found = graphql(client, devnet.url, query, i=paid["transactionId"])
    assert found["data"]["transaction"]["status"] == {"blockHeight": "1"}


def test_health_is_told_at_both_paths(devnet: DevnetServer, client: httpx.Client) -> None:
    origin = devnet.url.removesuffix("/v1/graphql")
    for path in ("/health", "/v1/health"):
        response = client.get(origin + path)
        assert (response.status_code, response.json()) == (200, {"up": True})


@pytest.mark.parametrize("path", ["/v1/graphql", "/v1/graphql-sub"])
def test_of_a_body_without_a_length_no_more_is_kept_than_the_limit(
    shared_devnet: DevnetServer, path: str
) -> None:
    parts = (b" " * 65_536 for _ in range(200))
    origin = shared_devnet.url.removesuffix("/v1/graphql")
    headers = {"content-type": "application/json"}
    response = httpx.post(origin + path, content=parts, headers=headers, timeout=30)
    assert response.status_code == 413
    assert shared_devnet.devnet.log.records()[-1].bytes_in < 2 * 1_048_576


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        ((b"{", "application/json"), 400, "Failed to parse the request body as JSON"),
        ((b"[]", "application/json"), 422, "Failed to deserialize the JSON body"),
        ((b"{}", "text/plain"), 415, "Expected request"),
        ((b" " * 1_048_577, "application/json"), 413, "length limit exceeded"),
    ],
    ids=["not-json", "array", "text", "too-large"],
)
@pytest.mark.parametrize("path", ["/v1/graphql", "/v1/graphql-sub"])
def test_what_is_no_request_is_refused_as_text(
    shared_devnet: DevnetServer, sent: tuple[bytes, str], status: int, text: str, path: str
) -> None:
    content, content_type = sent
    url = shared_devnet.url.replace("/v1/graphql", path)
    response = httpx.post(url, content=content, headers={"content-type": content_type})
    assert response.status_code == status
    assert text in response.text
    assert response.headers["content-type"].startswith("text/plain")


def test_get_is_not_allowed_and_options_is(devnet: DevnetServer, client: httpx.Client) -> None:
    assert client.get(devnet.url).status_code == 405
    options = client.options(devnet.url)
    assert (options.status_code, options.headers["access-control-allow-origin"]) == (200, "*")


def test_a_syntax_error_has_no_extensions_and_a_resolver_error_has(
    devnet: DevnetServer, client: httpx.Client
) -> None:
    assert list(graphql(client, devnet.url, "{")) == ["data", "errors"]
    answer = graphql(client, devnet.url, BALANCE, o="0x1", a=TOKEN)
    assert list(answer) == ["data", "extensions", "errors"]
    assert answer["errors"][0]["message"] == 'Failed to parse "Address": Odd number of digits'
    assert list(answer["extensions"]) == [
        "current_consensus_parameters_version",
        "current_fuel_block_height",
        "current_stf_version",
    ]


def test_a_height_far_ahead_is_refused_at_once(devnet: DevnetServer, client: httpx.Client) -> None:
    answer = graphql(client, devnet.url, "{health}", required=11)
    message = (
        "The required fuel block height is higher than the current block height. "
        "Required: 11, Current: 0"
    )
    assert answer["data"] is None
    assert answer["extensions"]["fuel_block_height_precondition_failed"] is True
    assert answer["errors"] == [{"message": message, "extensions": answer["extensions"]}]


async def test_a_height_a_little_ahead_is_waited_for(devnet: DevnetServer) -> None:
    body = {"query": "{health}", "extensions": {"required_fuel_block_height": 10}}
    async with httpx.AsyncClient(timeout=10) as client:
        waiting = asyncio.create_task(client.post(devnet.url, json=body))
        other = await client.post(devnet.url, json={"query": "{health}"})
        assert other.json()["extensions"]["current_fuel_block_height"] == 0
        assert not waiting.done()
        devnet.chain.produce_blocks(10)
        answer = (await waiting).json()
    assert answer["data"] == {"health": True}
    assert answer["extensions"]["current_fuel_block_height"] == 10


def test_a_height_that_does_not_come_in_time_is_an_error_without_the_flag() -> None:
    options = DevnetOptions(port=0, block_seconds=0, limits=Limits(height_seconds=0.05))
    with DevnetServer(options) as devnet, httpx.Client() as client:
        answer = graphql(client, devnet.url, "{health}", required=5)
    assert answer["errors"][0]["message"] == "Failed to wait for the required fuel block height"
    assert "fuel_block_height_precondition_failed" not in answer["extensions"]


def test_a_request_that_takes_too_long_gets_408_without_a_body() -> None:
    options = DevnetOptions(port=0, block_seconds=0, limits=Limits(request_seconds=0.05))
    with DevnetServer(options) as devnet, httpx.Client() as client:
        body = {"query": "{health}", "extensions": {"required_fuel_block_height": 5}}
        response = client.post(devnet.url, json=body)
    assert (response.status_code, response.content) == (408, b"")


@pytest.mark.parametrize("required", ["100", None, 1.5, True])
def test_a_height_that_is_no_whole_number_is_ignored(
    devnet: DevnetServer, client: httpx.Client, required: Any
) -> None:
    body = {"query": "{health}", "extensions": {"required_fuel_block_height": required}}
    assert client.post(devnet.url, json=body).json()["data"] == {"health": True}


def test_latency_is_per_request_and_not_per_alias() -> None:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0, latency_ms=100)) as devnet:
        aliases = " ".join(f"a{number}:health" for number in range(50))
        with httpx.Client() as client:
            graphql(client, devnet.url, "{health}")
            started = time.monotonic()
            graphql(client, devnet.url, "{" + aliases + "}")
            assert 0.1 <= time.monotonic() - started < 1
        assert [record.fields for record in devnet.devnet.log.records()] == [1, 50]


def test_the_log_counts_what_clients_ask(devnet: DevnetServer, client: httpx.Client) -> None:
    query = (
        "query both($o:Address!,$p:Address!){a:balances(filter:{owner:$o},first:1){nodes{amount}} "
        "b:balances(filter:{owner:$p},first:1){nodes{amount}} c:health}"
    )
    graphql(client, devnet.url, query, o=ALICE, p=BOB, required=0)
    client.post(devnet.url, content=b"{", headers={"content-type": "application/json"})
    told = client.get(f"{devnet.admin_url}/requests").json()
    counts = told["counts"]
    assert (counts["total"], counts["graphql"], counts["owners"]) == (2, 2, 2)
    assert counts["byStatus"] == {"200": 1, "400": 1}
    assert counts["byOperation"] == {"both": 1}
    first = told["requests"][0]
    assert (first["operation"], first["fields"], first["owners"]) == ("both", 3, 2)
    assert first["requiredHeight"] == 0
    client.post(f"{devnet.admin_url}/requests/reset")
    assert client.get(f"{devnet.admin_url}/state").json()["requests"]["total"] == 0


def test_the_index_follows_behind_the_chain(devnet: DevnetServer, client: httpx.Client) -> None:
    client.post(f"{devnet.admin_url}/nodes/0", json={"offChainLag": 1})
    devnet.chain.transfer(None, BOB, TOKEN, 5)
    answer = graphql(client, devnet.url, "{chain{latestBlock{height}}}")
    assert answer["data"]["chain"]["latestBlock"]["height"] == "1"
    assert answer["extensions"]["current_fuel_block_height"] == 0
    assert balance(client, devnet.url) == 0
    client.post(f"{devnet.admin_url}/nodes/0", json={"offChainLag": 0})
    assert balance(client, devnet.url) == 5


def test_an_index_that_is_late_by_time_is_waited_for() -> None:
    options = DevnetOptions(port=0, block_seconds=0, off_chain_delay_ms=300)
    with DevnetServer(options) as devnet, httpx.Client() as client:
        height = devnet.chain.transfer(None, BOB, TOKEN, 5).block_height
        assert balance(client, devnet.url) == 0
        assert balance(client, devnet.url, required=height) == 5


def test_nodes_of_one_chain_answer_in_turn_from_their_own_heights() -> None:
    options = DevnetOptions(port=0, block_seconds=0, nodes=3, lags=(0, 2, 5))
    with DevnetServer(options) as devnet, httpx.Client() as client:
        for _ in range(5):
            devnet.chain.transfer(None, BOB, TOKEN, 1)
        assert [balance(client, devnet.url) for _ in range(6)] == [5, 3, 0, 5, 3, 0]
        assert [balance(client, devnet.node_url(number)) for number in range(3)] == [5, 3, 0]
        heights = [
            graphql(client, devnet.node_url(number), "{health}")["extensions"]
            for number in range(3)
        ]
        assert [one["current_fuel_block_height"] for one in heights] == [5, 3, 0]
        assert client.post(devnet.node_url(3), json={"query": "{health}"}).status_code == 404


def test_a_lagging_node_shows_neither_later_blocks_nor_their_transactions() -> None:
    options = DevnetOptions(port=0, block_seconds=0, nodes=2, lags=(0, 1))
    with DevnetServer(options) as devnet, httpx.Client() as client:
        paid = devnet.chain.transfer(None, BOB, TOKEN, 1)
        query = (
            "query($i:TransactionId!){transaction(id:$i){status{__typename}} "
            'blocks(first:9){nodes{height}} block(height:"1"){id}}'
        )
        behind = graphql(client, devnet.node_url(1), query, i=paid.transaction_id)["data"]
        assert [node["height"] for node in behind["blocks"]["nodes"]] == ["0"]
        assert behind["block"] is None
        assert behind["transaction"]["status"]["__typename"] == "SubmittedStatus"
        ahead = graphql(client, devnet.node_url(0), query, i=paid.transaction_id)["data"]
        assert ahead["transaction"]["status"]["__typename"] == "SuccessStatus"


def test_blocks_tell_whose_balances_changed(devnet: DevnetServer, client: httpx.Client) -> None:
    entry = {"owner": ALICE, "assetId": TOKEN, "amount": 10}
    client.post(f"{devnet.admin_url}/accounts", json={"balances": [entry]})
    client.post(
        f"{devnet.admin_url}/transfer",
        json={"from": ALICE, "to": BOB, "assetId": TOKEN, "amount": 4},
    )
    client.post(f"{devnet.admin_url}/deposit", json={"to": ALICE, "amount": "9"})
    query = (
        '{blocks(first:5,after:"0"){nodes{height header{daHeight eventInboxRoot} '
        "transactions{isMint inputs{...on InputCoin{owner}} outputs{__typename "
        "...on CoinOutput{to amount} ...on ChangeOutput{to amount}}}} pageInfo{endCursor}}}"
    )
    first, second = graphql(client, devnet.url, query)["data"]["blocks"]["nodes"]
    transfer, mint = first["transactions"]
    assert transfer["inputs"] == [{"owner": ALICE}]
    assert [(output["to"], output["amount"]) for output in transfer["outputs"]] == [
        (BOB, "4"),
        (ALICE, "6"),
    ]
    assert mint == {"isMint": True, "inputs": None, "outputs": []}
    assert (first["header"]["daHeight"], second["header"]["daHeight"]) == ("0", "1")
    assert [transaction["isMint"] for transaction in second["transactions"]] == [True]
    empty = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert first["header"]["eventInboxRoot"] == empty != second["header"]["eventInboxRoot"]


def test_blocks_are_made_by_a_mutation(devnet: DevnetServer, client: httpx.Client) -> None:
    made = (
        "mutation($n:U32!,$t:Tai64Timestamp){produceBlocks(blocksToProduce:$n,startTimestamp:$t)}"
    )
    assert graphql(client, devnet.url, made, n="2")["data"] == {"produceBlocks": "2"}
    later = str(2**62 + 10 + devnet.chain.blocks[-1].unix_seconds + 1000)
    assert graphql(client, devnet.url, made, n="1", t=later)["data"] == {"produceBlocks": "3"}
    query = "{chain{latestBlock{header{time}}}}"
    latest = graphql(client, devnet.url, query)["data"]["chain"]["latestBlock"]
    assert latest["header"]["time"] == later
    refused = graphql(client, devnet.url, made, n="1", t=str(2**62 + 10))
    assert refused["errors"][0]["message"] == "The block timestamp should monotonically increase"
    assert "at most" in graphql(client, devnet.url, made, n="4294967295")["errors"][0]["message"]
    assert devnet.chain.height == 3


def test_what_is_no_transaction_is_not_submitted(
    devnet: DevnetServer, client: httpx.Client
) -> None:
    answer = graphql(client, devnet.url, 'mutation{submit(tx:"0x00"){id}}')
    assert answer["data"] is None
    assert answer["errors"][0]["path"] == ["submit"]
    assert devnet.chain.pool_size == 0


def test_messages_are_listed_until_they_are_spent(
    devnet: DevnetServer, client: httpx.Client
) -> None:
    plain = client.post(f"{devnet.admin_url}/deposit", json={"to": BOB, "amount": 5}).json()
    client.post(f"{devnet.admin_url}/deposit", json={"to": BOB, "amount": 6, "data": "0xff"})
    query = (
        "query($o:Address,$n:Nonce!){messages(owner:$o,first:9){nodes{amount data}} "
        "messageStatus(nonce:$n){state}}"
    )
    before = graphql(client, devnet.url, query, o=BOB, n=plain["nonce"])["data"]
    assert sorted(node["amount"] for node in before["messages"]["nodes"]) == ["5", "6"]
    assert before["messageStatus"] == {"state": "UNSPENT"}
    devnet.chain.transfer(BOB, ALICE, BASE_ASSET_ID, 5)
    after = graphql(client, devnet.url, query, o=BOB, n=plain["nonce"])["data"]
    assert after["messages"]["nodes"] == [{"amount": "6", "data": "0xff"}]
    assert after["messageStatus"] == {"state": "SPENT"}


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("accounts", {}, "missing: balances"),
        ("accounts", {"balances": [{"owner": "x"}]}, "balances[0]"),
        ("transfer", {"to": BOB, "assetId": TOKEN}, "missing: amount"),
        ("transfer", {"to": BOB, "assetId": TOKEN, "amount": 1, "fee": 1}, "unknown: fee"),
        ("transfer", {"to": "bob", "assetId": TOKEN, "amount": 1}, "not a Fuel address: 'bob'"),
        ("transfer", {"from": ALICE, "to": BOB, "assetId": TOKEN, "amount": 1}, "has 0 of"),
        ("transfer", {"to": BOB, "assetId": TOKEN, "amount": "-1"}, "not an amount"),
        ("transfer", {"to": BOB, "assetId": TOKEN, "amount": 1, "output": "x"}, "output is one"),
        ("deposit", {"to": BOB, "amount": 1, "data": "0xzz"}, "Invalid character"),
        ("blocks", {"count": 0}, "count is a whole number"),
        ("faults", {"kind": "earthquake"}, "'earthquake' is none of"),
        ("faults", {"kind": "reset", "rows": 1}, "reset has no parameter rows"),
        ("faults", {"kind": "reset", "probability": "high"}, "probability is a number"),
        ("latency", {"milliseconds": -1}, "not negative"),
        ("latency", {"milliseconds": 1, "distribution": "normal"}, "'normal' is none of"),
        ("nodes/0", {"lag": -1}, "lag is not negative"),
        ("nodes/0", {"indexation": 1}, "indexation is true or false"),
    ],
)
def test_a_wrong_admin_request_is_refused_and_changes_nothing(
    shared_devnet: DevnetServer, client: httpx.Client, path: str, body: Any, detail: str
) -> None:
    before = client.get(f"{shared_devnet.admin_url}/state").json()
    response = client.post(f"{shared_devnet.admin_url}/{path}", json=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]
    assert client.get(f"{shared_devnet.admin_url}/state").json() == before


def test_a_port_in_use_is_named() -> None:
    with DevnetServer() as devnet:
        port = httpx.URL(devnet.url).port
        assert port is not None
        with pytest.raises(ConfigurationError, match=f"port {port}: Address already in use"):
            listen(DevnetOptions(port=port))


def test_the_command_serves_until_it_is_asked_to_end() -> None:
    arguments = [sys.executable, "-m", "devnet", "--port", "0", "--block-seconds", "0.05"]
    process = spawn(arguments, output=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("devnet listening on http://127.0.0.1:")
        url = line.split()[-1]
        with httpx.Client() as client:
            graphql(client, url, "{health}", required=2)  # blocks are made by themselves
    finally:
        code = stop(process)
        process.stdout.close()
    assert code in (0, -15)
    assert not is_listening(httpx.URL(url).port or 0)
