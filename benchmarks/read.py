"""How fast the read path is, beside the same server's static bytes, raw Redis and two libraries.

Every cell is asked by a program of its own (`read_load`); rounds of all contestants alternate, so
that a busy machine slows all of them. A run in which any answer was wrong reports nothing.

    make bench-read
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from redis.asyncio import Redis
from rich.progress import track

from benchmarks.common import machine, refuse, save, saved
from benchmarks.plot import Chart, Line
from benchmarks.read_report import ELSEWHERE, page
from cache.keys import Keys
from config.settings import Settings
from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from domain.values import Lane
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer

CHAIN = 9889
VAULTS = 10
ASSETS = 20
CONNECTIONS = (1, 16, 64)
ROUNDS = 2
SECONDS = 0.8
RATIO_AT = 16
"""The connections at which ratios are taken: enough to keep one core busy, few enough to queue
little."""

DOCS = Path(__file__).parents[1] / "docs"
Requests = Sequence[tuple[str, Mapping[str, str]]]


@dataclass
class Server:
    """A server under test."""

    process: psutil.Popen
    port: int

    @classmethod
    def start(cls, kind: str, environment: Mapping[str, str]) -> Server:
        """Start one and wait until it listens."""
        process = psutil.Popen(
            [sys.executable, "-m", "benchmarks.read_server", kind],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = process.stdout.readline()
        if not line.startswith("port "):
            refuse(f"{kind} does not start")
        return cls(process, int(line.split()[1]))

    def cpu_seconds(self) -> float:
        """Return what it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


@dataclass
class Contest:
    """One row of the table: who is asked what."""

    server: Server
    requests: Requests
    status: int = 200
    rounds: dict[int, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))

    def measure(self, connections: int) -> None:
        """Load it once."""
        wanted = {
            "port": self.server.port,
            "requests": self.requests,
            "status": self.status,
            "connections": connections,
            "seconds": SECONDS,
        }
        cpu = self.server.cpu_seconds()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.read_load", json.dumps(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            refuse(f"the load failed: {ran.stderr[-500:]}")
        told = json.loads(ran.stdout)
        latencies = sorted(told["latencies"])
        if told["failed"] or not latencies:
            refuse(f"{told['failed']} answers of {self.requests[0][0]} were wrong")
        views = len(latencies)
        self.rounds[connections].append(
            {
                "p50_ms": latencies[views // 2] * 1000,
                "p99_ms": latencies[min(views - 1, views * 99 // 100)] * 1000,
                "max_ms": latencies[-1] * 1000,
                "per_second": views / told["seconds"],
                "cpu_us": (self.server.cpu_seconds() - cpu) / views * 1e6,
                "bytes": told["bytes"],
            }
        )

    def figures(self) -> dict[str, dict[str, float]]:
        """Return the median of the rounds by connections; of the maxima the greatest."""
        return {
            str(connections): {
                name: round(
                    max(r[name] for r in rounds)
                    if name == "max_ms"
                    else statistics.median(r[name] for r in rounds),
                    3,
                )
                for name in rounds[0]
            }
            for connections, rounds in self.rounds.items()
        }


@dataclass
class Stage:
    """A user with ten vaults, and all that serves him."""

    user: SeededUser
    headers: dict[str, str]
    redis: Redis
    redis_server: EmbeddedServer
    node: DevnetServer
    runtime: Runtime
    environment: dict[str, str]


@asynccontextmanager
async def _stage(folder: str) -> AsyncIterator[Stage]:
    redis_server = EmbeddedServer.start()
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN)) as node:
        database_url = f"sqlite:///{folder}/bako.sqlite3"
        network = Network(CHAIN, "mainnet", (node.url,))
        registry = Registry.open(database_url)
        await registry.create_schema()
        await registry.close()
        user = await seed_user(database_url, network, predicates=VAULTS)
        assets = [f"0x{number:064x}" for number in range(1, ASSETS + 1)]
        node.chain.set_balances(
            AccountBalance(address, asset, 10**9 + n)
            for address in user.addresses
            for n, asset in enumerate(assets)
        )
        redis = Redis.from_url(redis_server.url())
        await _write_bakos_keys(redis, user, network, assets)
        environment = {
            "REDIS_URL": redis_server.url(),
            "DATABASE_URL": database_url,
            "FUEL_NETWORKS": json.dumps(
                [{"chainId": CHAIN, "name": "mainnet", "urls": [node.url]}]
            ),
            "LOG_LEVEL": "ERROR",
        }
        settings = Settings(
            REDIS_URL=redis_server.url(), database_url=database_url, fuel_networks=(network,)
        )
        runtime = await Runtime.open(settings)
        headers = {"Authorization": user.token, "signeraddress": user.user_address}
        try:
            yield Stage(user, headers, redis, redis_server, node, runtime, environment)
        finally:
            await runtime.close()
            await redis.aclose()
            redis_server.stop()


async def _write_bakos_keys(
    redis: Redis, user: SeededUser, network: Network, assets: Sequence[str]
) -> None:
    session = {
        "user_id": user.user_id,
        "address": user.user_address,
        "expired_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "network": {"url": network.public_url, "chainId": CHAIN},
    }
    await redis.set(f"session-{user.token}", json.dumps(session), ex=2400)
    await redis.hset("quotes", mapping=dict.fromkeys(assets, "1.25"))
    await redis.expire("quotes", 2400)


async def _answer(server: Server, path: str, headers: Mapping[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        for _ in range(5):  # fills the cache, and ends on what is sent again
            answer = await client.get(path, headers=headers)
            if answer.status_code != 200:
                refuse(f"{path}: {answer.status_code}")
            await asyncio.sleep(0.2)
    return answer


async def _contests(stage: Stage, servers: Mapping[str, Server]) -> dict[str, Contest]:
    vault_paths = [f"/predicate/{p}/reserved-coins" for p in stage.user.predicate_ids]
    vault, page_path = vault_paths[0], "/user/dashboard"
    contests: dict[str, Contest] = {}
    for suffix, server in (("", servers["ours"]), (" (local copy)", servers["copy"])):
        one = await _answer(server, vault, stage.headers)
        whole = await _answer(server, page_path, stage.headers)
        tagged = {**stage.headers, "If-None-Match": whole.headers["etag"]}
        of_vault, of_page = len(one.content), len(whole.content)
        contests |= {
            f"static, a vault's size{suffix}": Contest(
                server, [(f"/static/{of_vault}", stage.headers)]
            ),
            f"one vault{suffix}": Contest(server, [(vault, stage.headers)]),
            f"static, a page's size{suffix}": Contest(
                server, [(f"/static/{of_page}", stage.headers)]
            ),
            f"dashboard{suffix}": Contest(server, [(page_path, stage.headers)]),
            f"not modified{suffix}": Contest(server, [(page_path, tagged)], 304),
        }
    await _answer(servers["ours"], "/user/allocation", stage.headers)
    one_by_one = [(path, stage.headers) for path in (*vault_paths, "/user/allocation")]
    contests["the page by eleven requests"] = Contest(servers["ours"], one_by_one)
    for library in ("cashews", "fastapi-cache"):
        await _answer(servers[library], "/answer/dashboard", {})
        for name in ("vault", "dashboard"):
            await _answer(servers[library], f"/answer/{name}", {})
            contests[f"{library}, {name}"] = Contest(
                servers[library], [(f"/answer/{name}", stage.headers)]
            )
    return contests


def _raw_redis(stage: Stage) -> dict[str, dict[str, float]]:
    """Ask Redis itself for the same bytes, by its own tool where there is one."""
    tool = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if tool is None:
        return {}
    keys = [Keys().value(address, CHAIN) for address in stage.user.addresses]
    found: dict[str, dict[str, float]] = {}
    for name, command in (("raw GET", ["GET", keys[0]]), ("raw MGET of ten", ["MGET", *keys])):
        for connections in CONNECTIONS:
            ran = subprocess.run(
                [
                    tool, "-p", str(stage.redis_server.port), "-c", str(connections),
                    "-n", "30000", "--csv", *command,
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            rows = list(csv.DictReader(ran.stdout.splitlines()))
            if ran.returncode or not rows:
                refuse("redis-benchmark failed")
            row = rows[-1]
            found.setdefault(name, {})[str(connections)] = {
                "p50_ms": float(row["p50_latency_ms"]),
                "p99_ms": float(row["p99_latency_ms"]),
                "max_ms": float(row["max_latency_ms"]),
                "per_second": float(row["rps"]),
            }
    return found


def _profile(stage: Stage, contests: Mapping[str, Contest]) -> dict[str, dict[str, float]]:
    """Take the hot answers apart, with what is believed unasked and without."""
    [(static, _)] = contests["static, a vault's size"].requests
    asked = {
        "static": (static, stage.headers, 200),
        "static with headers": (f"{static}?headers", stage.headers, 200),
    }
    for name in ("one vault", "dashboard", "not modified"):
        [(path, headers)] = contests[name].requests
        asked[name] = (path, headers, contests[name].status)
    found = {}
    for name, copied in (("local copy", "true"), ("asked", "false")):
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.read_profile", json.dumps(asked)],
            env={**os.environ, **stage.environment, "LOCAL_COPY": copied},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            refuse(f"the profile failed: {ran.stderr[-500:]}")
        found[name] = json.loads(ran.stdout.splitlines()[-1])
    return found


async def _node_calls(stage: Stage, server: Server) -> dict[str, dict[str, float]]:
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


def _chart(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    def line(name: str, shown: str) -> Line:
        rows = figures[name]
        points = [(int(c), row["p50_ms"], f"{row['p50_ms']:.2f}") for c, row in rows.items()]
        return Line(shown, points)

    before = line("the page by eleven requests", "before: eleven requests")
    highest = max(point[1] for point in before.points)
    step = 10 ** len(str(int(highest))) / 5
    return Chart(
        title="A page of ten vaults, p50 in ms, all cached",
        x_label="connections",
        y_label="ms",
        x_ticks=CONNECTIONS,
        y_ticks=[step * n for n in range(int(highest // step) + 2)],
        lines=[
            before,
            line("dashboard", "one request"),
            line("not modified", "unchanged (304)"),
        ],
    ).draw()


async def main() -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        async with _stage(folder) as stage:
            servers = {
                "ours": Server.start("ours", stage.environment),
                "copy": Server.start("ours", stage.environment | {"LOCAL_COPY": "true"}),
            }
            try:
                answers = {
                    "vault": (
                        await _answer(
                            servers["ours"],
                            f"/predicate/{stage.user.predicate_ids[0]}/reserved-coins",
                            stage.headers,
                        )
                    ).json(),
                    "dashboard": (
                        await _answer(servers["ours"], "/user/dashboard", stage.headers)
                    ).json(),
                }
                for library in ("cashews", "fastapi-cache"):
                    servers[library] = Server.start(
                        library,
                        {
                            "REDIS_URL": stage.redis_server.url(5),
                            "ANSWERS": json.dumps(answers),
                        },
                    )
                contests = await _contests(stage, servers)
                await asyncio.sleep(2.5)  # memory is settled, what is read often is copied
                for _ in track(range(ROUNDS), "rounds", transient=True):
                    for contest in contests.values():
                        for connections in CONNECTIONS:
                            await asyncio.to_thread(contest.measure, connections)
                raw = await asyncio.to_thread(_raw_redis, stage)
                profile = await asyncio.to_thread(_profile, stage, contests)
                calls = await _node_calls(stage, servers["ours"])
            finally:
                for server in servers.values():
                    server.stop()
    figures = {name: contest.figures() for name, contest in contests.items()}
    report = {
        "ratio_to_static": _ratios(figures, str(RATIO_AT)),
        "ratio_to_static_by_connections": {str(c): _ratios(figures, str(c)) for c in CONNECTIONS},
        "node_calls": calls,
        "profile_us": profile,
        "paths": figures,
        "raw_redis": raw,
        "vaults": VAULTS,
        "assets_per_vault": ASSETS,
    }
    path = save("read", report)
    table = page(machine(), report, {name: saved(name) for name in ELSEWHERE})
    (DOCS / "reading.md").write_text(table, encoding="utf-8")
    (DOCS / "images" / "reading.svg").write_text(_chart(figures), encoding="utf-8")
    print(table)
    print(f"saved: {path.name}")


def _ratios(
    figures: Mapping[str, Mapping[str, Mapping[str, float]]], connections: str
) -> dict[str, float]:
    pairs = {
        "vault": ("one vault", "static, a vault's size"),
        "vault_local_copy": ("one vault (local copy)", "static, a vault's size (local copy)"),
        "dashboard": ("dashboard", "static, a page's size"),
        "dashboard_local_copy": (
            "dashboard (local copy)",
            "static, a page's size (local copy)",
        ),
        "not_modified": ("not modified", "static, a page's size"),
        "not_modified_local_copy": (
            "not modified (local copy)",
            "static, a page's size (local copy)",
        ),
    }
    return {
        name: round(
            figures[ours][connections]["per_second"] / figures[static][connections]["per_second"],
            3,
        )
        for name, (ours, static) in pairs.items()
    }


if __name__ == "__main__":
    asyncio.run(main())
