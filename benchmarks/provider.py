"""How many node requests and how much time vaults cost, beside one request a vault.

``make bench-provider`` runs it: a simulated node as a process of its own, 500 ms a request.

Two ways: "batched" is the provider; "one by one" is what the TypeScript SDK does, one request a
vault, five at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.common import refuse, save
from domain.networks import Network
from domain.values import Snapshot
from provider.node import NodeProvider
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.waiting import wait_until

LATENCY_MS = 500
CONCURRENCY = 10
SDK_CONCURRENCY = 5
ASSETS = 3
VAULTS = (1, 10, 200, 2000)

SDK_QUERY = """query getBalancesV2($filter: BalanceFilterInput!, $first: Int) {
  balances(filter: $filter, first: $first) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { node { assetId amountU128 } }
  } }"""
"""What the TypeScript SDK selects."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    way: str
    vaults: int
    requests: int
    seconds: float
    latencies: float
    of_slowest_request: float
    cpu_ms_per_vault: float
    bytes_out: int


Fetch = Callable[[list[str]], Awaitable[int]]
"""Fetches these vaults and returns how many rows of balances came."""


def address(number: int) -> str:
    """Return the address of a vault."""
    return "0x" + format(number + 1, "064x")


class Simulator:
    """The simulated node and its admin interface."""

    def __init__(self, root: str, client: httpx.AsyncClient) -> None:
        self.url = f"{root}/v1/graphql"
        self._root = root
        self._client = client

    async def fill(self, vaults: int) -> None:
        """Give each vault its assets."""
        balances = [
            {"owner": address(n), "assetId": "0x" + f"{a + 1:064x}", "amount": str(10**9 + n)}
            for n in range(vaults)
            for a in range(ASSETS)
        ]
        answer = await self._client.post(
            f"{self._root}/devnet/accounts", json={"balances": balances}, timeout=60
        )
        answer.raise_for_status()

    async def reset(self) -> None:
        """Begin to count anew."""
        (await self._client.post(f"{self._root}/devnet/requests/reset")).raise_for_status()

    async def log(self) -> dict[str, Any]:
        """Return what was asked since the last reset."""
        answer = await self._client.get(f"{self._root}/devnet/requests", timeout=60)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


@contextlib.asynccontextmanager
async def running(*arguments: str, port: int) -> AsyncIterator[Simulator]:
    """Run a node as a process of its own for the length of the block."""
    process = spawn([sys.executable, "-m", *arguments], output=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: is_listening(port), seconds=20):
            refuse(f"{arguments[0]} did not start")
        async with httpx.AsyncClient() as client:
            yield Simulator(f"http://127.0.0.1:{port}", client)
    finally:
        stop(process)


def simulator(
    *, latency_ms: int = LATENCY_MS, block_seconds: float = 1.0
) -> contextlib.AbstractAsyncContextManager[Simulator]:
    """Run the simulated node."""
    port = free_port()
    figures = ("--port", str(port), "--latency-ms", str(latency_ms))
    figures += ("--block-seconds", str(block_seconds))
    return running("devnet", *figures, port=port)


async def ours(provider: NodeProvider, addresses: list[str]) -> int:
    """Fetch by the provider."""
    answers = await provider.fetch_many(addresses, deadline_seconds=60)
    failed = [answer for answer in answers.values() if not isinstance(answer, Snapshot)]
    if failed:
        refuse(f"{len(failed)} vaults failed, for example: {failed[0]}")
    return sum(len(answer.balances) for answer in answers.values() if isinstance(answer, Snapshot))


async def sdk_way(client: httpx.AsyncClient, url: str, addresses: list[str]) -> int:
    """Fetch as the TypeScript SDK does: one request a vault, five at a time."""
    places = asyncio.Semaphore(SDK_CONCURRENCY)

    async def one(owner: str) -> int:
        body = {"query": SDK_QUERY, "variables": {"filter": {"owner": owner}, "first": 100}}
        async with places:
            answer = await client.post(url, json=body, timeout=30)
        answer.raise_for_status()
        return len(answer.json()["data"]["balances"]["edges"])

    return sum(await asyncio.gather(*(one(owner) for owner in addresses)))


async def measure(way: str, vaults: int, fetch: Fetch, node: Simulator) -> Figures:
    """Measure one run; ends the benchmark when anything in it failed."""
    addresses = [address(n) for n in range(vaults)]
    if way != "one by one":
        await fetch(addresses)  # the simulator reads a query's text once, the node in no time
    await node.reset()
    cpu, begun = time.process_time(), time.perf_counter()
    rows = await fetch(addresses)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if rows != vaults * ASSETS:
        refuse(f"{way}: {rows} balances instead of {vaults * ASSETS}")
    log = await node.log()
    asked = [record for record in log["requests"] if record["kind"] == "graphql"]
    wrong = [record for record in asked if record["status"] != 200 or record["error"]]
    if wrong:
        refuse(f"{way}: the node answered {wrong[0]}")
    return Figures(
        way=way,
        vaults=vaults,
        requests=len(asked),
        seconds=round(seconds, 3),
        latencies=round(seconds * 1000 / LATENCY_MS, 2),
        of_slowest_request=round(seconds * 1000 / max(r["milliseconds"] for r in asked), 2),
        cpu_ms_per_vault=round(cpu * 1000 / vaults, 3),
        bytes_out=sum(record["bytesOut"] for record in asked),
    )


async def batched(node: Simulator) -> list[Figures]:
    """Measure the provider on each number of vaults."""
    network = Network(0, "simulated", (node.url,))
    provider = NodeProvider(network, timeout_seconds=60, concurrency=CONCURRENCY)
    await provider.verify()
    figures = []
    try:
        for vaults in track(VAULTS, description="batched", console=Console(stderr=True)):
            run = await measure("batched", vaults, lambda found: ours(provider, found), node)
            figures.append(run)
    finally:
        await provider.close()
    return figures


async def one_by_one(node: Simulator, most_vaults: int) -> list[Figures]:
    """Measure the SDK's way on each number of vaults."""
    compared = [vaults for vaults in VAULTS if vaults <= most_vaults]
    figures = []
    async with httpx.AsyncClient() as client:
        for vaults in track(compared, description="one by one", console=Console(stderr=True)):
            run = await measure(
                "one by one", vaults, lambda found: sdk_way(client, node.url, found), node
            )
            figures.append(run)
    return figures


async def run(most_vaults_of_sdk: int) -> list[Figures]:
    """Make all runs."""
    async with simulator() as node:
        await node.fill(max(VAULTS))
        figures = await batched(node)
        figures += await one_by_one(node, most_vaults_of_sdk)
    return figures


def show(figures: list[Figures]) -> None:
    """Print the table."""
    table = Table(title=f"Node requests at {LATENCY_MS} ms each")
    for name in (
        *("way", "vaults", "requests", "seconds", "per 500 ms", "per slowest request"),
        *("CPU ms/vault", "bytes"),
    ):
        table.add_column(name, justify="left" if name == "way" else "right")
    for row in figures:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console(width=100).print(table)


def main(
    *,
    most_vaults_of_sdk: Annotated[
        int, typer.Option(help="One request a vault: 2,000 take more than 200 s.")
    ] = max(VAULTS),
) -> None:
    """Measure, print a table, and write benchmarks/results/provider.json."""
    figures = asyncio.run(run(most_vaults_of_sdk))
    show(figures)
    batched = {str(row.vaults): row.requests for row in figures if row.way == "batched"}
    path = save(
        "provider",
        {
            "latency_ms": LATENCY_MS,
            "concurrency": CONCURRENCY,
            "sdk_concurrency": SDK_CONCURRENCY,
            "assets_per_vault": ASSETS,
            "requests": batched,
            "runs": [asdict(row) for row in figures],
        },
    )
    print(f"written: {path.relative_to(path.parents[2])}")


if __name__ == "__main__":
    typer.run(main)
