"""Every fault, as a client meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer

OWNER = "0x" + "aa" * 32
QUERY = {
    "query": "{chain{consensusParameters{chainId}} "
    f'balances(filter:{{owner:"{OWNER}"}},first:9)'
    "{nodes{amountU128} pageInfo{hasNextPage}}}"
}


@pytest.fixture
def devnet() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0, chain_id=9889)) as server:
        assets = ("0x" + "01" * 32, "0x" + "02" * 32)
        server.chain.set_balances([AccountBalance(OWNER, asset, 5) for asset in assets])
        yield server


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


def set_fault(devnet: DevnetServer, client: httpx.Client, kind: str, **entries: Any) -> None:
    body = {"kind": kind, "count": 1, **entries}
    response = client.post(f"{devnet.admin_url}/faults", json=body)
    assert response.status_code == 201, response.text


def assert_well_again(devnet: DevnetServer, client: httpx.Client) -> None:
    data = client.post(devnet.url, json=QUERY).json()["data"]
    assert [node["amountU128"] for node in data["balances"]["nodes"]] == ["5", "5"]


@pytest.mark.parametrize(
    ("kind", "entries", "status"),
    [
        ("rate_limited", {}, 429),
        ("server_error", {}, 502),
        ("server_error", {"status": 503}, 503),
        ("not_json", {}, 200),
    ],
)
def test_gateways_answer_with_pages(
    devnet: DevnetServer, client: httpx.Client, kind: str, entries: dict[str, Any], status: int
) -> None:
    set_fault(devnet, client, kind, **entries)
    response = client.post(devnet.url, json=QUERY)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")
    assert_well_again(devnet, client)


def test_a_timeout_is_408_without_a_body(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "timeout")
    response = client.post(devnet.url, json=QUERY)
    assert (response.status_code, response.content) == (408, b"")


def test_a_connection_is_reset(devnet: DevnetServer, client: httpx.Client) -> None:
    client.post(devnet.url, json=QUERY)
    set_fault(devnet, client, "reset")
    with pytest.raises(httpx.ReadError):
        client.post(devnet.url, json=QUERY)
    assert_well_again(devnet, client)
    assert [record.status for record in devnet.devnet.log.records()] == [200, 0, 200]


def test_a_body_ends_in_the_middle(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "truncated")
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|closed"):
        client.post(devnet.url, json=QUERY)
    assert_well_again(devnet, client)


def test_json_ends_in_the_middle_of_a_complete_answer(
    devnet: DevnetServer, client: httpx.Client
) -> None:
    set_fault(devnet, client, "cut_json")
    response = client.post(devnet.url, json=QUERY)
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        response.json()


def test_json_can_be_no_answer_at_all(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "wrong_shape")
    assert client.post(devnet.url, json=QUERY).json() == {"data": [], "extensions": []}


def test_a_resolver_can_fail(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "graphql_error", message="out of disk")
    answer = client.post(devnet.url, json=QUERY).json()
    assert (answer["data"], answer["errors"]) == (None, [{"message": "out of disk"}])
    assert answer["extensions"]["current_fuel_block_height"] == 0


def test_a_swallowed_error_looks_like_a_short_vault(
    devnet: DevnetServer, client: httpx.Client
) -> None:
    set_fault(devnet, client, "swallowed_error", rows=1)
    answer = client.post(devnet.url, json=QUERY).json()
    assert "errors" not in answer
    assert answer["data"]["balances"] == {
        "nodes": [{"amountU128": "5"}],
        "pageInfo": {"hasNextPage": False},
    }
    assert_well_again(devnet, client)


def test_a_wrong_chain_id_is_reported(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "wrong_chain_id", chainId=0)
    reported = client.post(devnet.url, json=QUERY).json()["data"]["chain"]
    assert reported["consensusParameters"]["chainId"] == "0"
    right = client.post(devnet.url, json=QUERY).json()["data"]["chain"]
    assert right["consensusParameters"]["chainId"] == "9889"


def test_a_node_that_lags_knows_that_it_does(devnet: DevnetServer, client: httpx.Client) -> None:
    devnet.chain.produce_blocks(20)
    set_fault(devnet, client, "lag", blocks=12, count=2)
    answer = client.post(devnet.url, json=QUERY).json()
    assert answer["extensions"]["current_fuel_block_height"] == 8
    demanding = {**QUERY, "extensions": {"required_fuel_block_height": 20}}
    refused = client.post(devnet.url, json=demanding).json()
    assert refused["extensions"]["fuel_block_height_precondition_failed"] is True


def test_a_slow_request_takes_its_time(devnet: DevnetServer, client: httpx.Client) -> None:
    set_fault(devnet, client, "slow", milliseconds=60_000)
    with pytest.raises(httpx.ReadTimeout):
        client.post(devnet.url, json=QUERY, timeout=0.3)
    assert_well_again(devnet, client)


def test_faults_are_listed_counted_and_removed(devnet: DevnetServer, client: httpx.Client) -> None:
    url = f"{devnet.admin_url}/faults"
    number = client.post(url, json={"kind": "timeout", "node": 0}).json()["id"]
    client.post(devnet.url, json=QUERY)
    listed = client.get(url).json()["faults"]
    assert [(fault["id"], fault["kind"], fault["struck"]) for fault in listed] == [
        (number, "timeout", 1)
    ]
    assert client.delete(f"{url}/{number}").is_success
    assert client.delete(f"{url}/{number}").status_code == 404
    assert_well_again(devnet, client)
    client.post(url, json={"kind": "timeout"})
    client.delete(url)
    assert_well_again(devnet, client)
    counts = client.get(f"{devnet.admin_url}/state").json()["requests"]
    assert counts["byFault"] == {"timeout": 1}


def test_latency_changes_while_it_runs(devnet: DevnetServer, client: httpx.Client) -> None:
    body = {"distribution": "uniform", "milliseconds": 50, "mostMilliseconds": 60, "seed": 3}
    assert client.post(f"{devnet.admin_url}/latency", json=body).is_success
    client.post(devnet.url, json=QUERY)
    assert devnet.devnet.log.records()[-1].milliseconds >= 50
