"""How fast the read path is, beside the same server's static bytes, raw Redis and two libraries.

Each path and static bytes of its size take short turns at the same server (`read_load`), so that a
busy machine slows both; a ratio is the median of those of many rounds. A run in which any answer
was wrong reports nothing.

    make bench-read
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping, Sequence

import httpx
from rich.progress import track

from benchmarks.common import refuse, save
from benchmarks.plot import Chart, Line
from benchmarks.read_beside import Asked, profile, raw_redis
from benchmarks.read_contest import OTHERS_CPU, Contest, Figures, Server, Side, ratio
from benchmarks.read_names import (
    DASHBOARD,
    ELEVEN,
    LOCAL_COPY,
    RATIO_AT,
    RATIOS,
    STATIC_NOTHING,
    STATIC_PAGE,
    STATIC_VAULT,
    UNCHANGED,
    VAULT,
)
from benchmarks.read_report import DOCS, write_page
from benchmarks.read_stage import ASSETS, VAULTS, Stage, stage_in
from benchmarks.read_states import node_calls

CONNECTIONS = (1, 16, 64)
ROUNDS, SECONDS = 30, 0.1
"""Of what takes turns with static bytes."""
ALONE_ROUNDS, ALONE_SECONDS = 3, 0.6
"""Of what has no counterpart, and takes long for one answer."""
LIBRARIES = ("cashews", "fastapi-cache")
PAGE = "/user/dashboard"
_SERVER = "benchmarks.read_server"
Measured = dict[str, dict[str, Figures]]
"""By path and connections."""


async def _answer(server: Server, path: str, headers: Mapping[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        for _ in range(5):  # fills the cache, and ends on what is sent again
            answer = await client.get(path, headers=headers)
            if answer.status_code != 200:
                refuse(f"{path}: {answer.status_code}")
            await asyncio.sleep(0.2)
    return answer


async def _contests(stage: Stage, servers: Mapping[str, Server]) -> list[Contest]:
    vault_paths = [f"/predicate/{p}/reserved-coins" for p in stage.user.predicate_ids]
    contests = []
    for suffix, server in (("", servers["ours"]), (LOCAL_COPY, servers["copy"])):
        one = await _answer(server, vault_paths[0], stage.headers)
        whole = await _answer(server, PAGE, stage.headers)
        tagged = {**stage.headers, "If-None-Match": whole.headers["etag"]}
        groups = (
            {
                STATIC_VAULT: Side(server, [(f"/static/{len(one.content)}", stage.headers)]),
                VAULT: Side(server, [(vault_paths[0], stage.headers)]),
            },
            {
                STATIC_PAGE: Side(server, [(f"/static/{len(whole.content)}", stage.headers)]),
                DASHBOARD: Side(server, [(PAGE, stage.headers)]),
                STATIC_NOTHING: Side(server, [("/static/0", stage.headers)]),
                UNCHANGED: Side(server, [(PAGE, tagged)], 304),
            },
        )
        for sides in groups:
            named = {f"{name}{suffix}": side for name, side in sides.items()}
            contests.append(Contest(named, ROUNDS, SECONDS))
    await _answer(servers["ours"], "/user/allocation", stage.headers)
    one_by_one = [(path, stage.headers) for path in (*vault_paths, "/user/allocation")]
    alone = {ELEVEN: Side(servers["ours"], one_by_one)}
    for library in LIBRARIES:
        for name in ("vault", "dashboard"):
            path = f"/answer/{name}"
            await _answer(servers[library], path, {})
            alone[f"{library}, {name}"] = Side(servers[library], [(path, stage.headers)])
    contests += [Contest({name: side}, ALONE_ROUNDS, ALONE_SECONDS) for name, side in alone.items()]
    return contests


def _chart(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    def line(name: str, shown: str) -> Line:
        rows = figures[name]
        points = [(int(c), row["p50_ms"], f"{row['p50_ms']:.2f}") for c, row in rows.items()]
        return Line(shown, points)

    before = line(ELEVEN, "before: eleven requests")
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
            line(DASHBOARD, "one request"),
            line(UNCHANGED, "unchanged (304)"),
        ],
    ).draw()


def _asked(stage: Stage, contests: Sequence[Contest]) -> dict[str, Asked]:
    """Return what the profile asks for: what the load asks, static bytes with more headers too."""
    sides = {name: side for contest in contests for name, side in contest.sides.items()}
    asked = {
        name: (*sides[side].requests[0], sides[side].status)
        for name, side in {
            "static": STATIC_VAULT,
            "one vault": VAULT,
            "dashboard": DASHBOARD,
            "not modified": UNCHANGED,
        }.items()
    }
    return {**asked, "static with headers": (f"{asked['static'][0]}?headers", stage.headers, 200)}


def _measure(contests: Sequence[Contest]) -> Measured:
    found: Measured = {name: {} for contest in contests for name in contest.sides}
    cells = [(contest, connections) for contest in contests for connections in CONNECTIONS]
    for contest, connections in track(cells, "load", transient=True):
        for name, figures in contest.measure(connections).items():
            found[name][str(connections)] = figures
    return found


async def _start(stage: Stage, servers: dict[str, Server]) -> None:
    """Start all servers; the libraries get the very answers that ours gives."""
    ours = servers["ours"] = Server.start([_SERVER, "ours"], stage.environment)
    servers["copy"] = Server.start([_SERVER, "ours"], stage.environment | {"LOCAL_COPY": "true"})
    vault = f"/predicate/{stage.user.predicate_ids[0]}/reserved-coins"
    answers = {
        name: (await _answer(ours, path, stage.headers)).json()
        for name, path in (("vault", vault), ("dashboard", PAGE))
    }
    environment = {"REDIS_URL": stage.redis_server.url(5), "ANSWERS": json.dumps(answers)}
    for library in LIBRARIES:
        servers[library] = Server.start([_SERVER, library], environment)


async def main() -> None:
    """Measure, print and save."""
    os.sched_setaffinity(0, {OTHERS_CPU})  # Redis, node and load inherit it
    load_average = os.getloadavg()[0]
    servers: dict[str, Server] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with stage_in(folder) as stage:
            try:
                await _start(stage, servers)
                contests = await _contests(stage, servers)
                await asyncio.sleep(2.5)  # memory is settled, what is read often is copied
                measured = await asyncio.to_thread(_measure, contests)
                raw = await asyncio.to_thread(raw_redis, stage, CONNECTIONS)
                steps = await asyncio.to_thread(profile, stage, _asked(stage, contests))
                calls = await node_calls(stage, servers["ours"])
            finally:
                for server in servers.values():
                    server.stop()
    ratios = {
        str(c): {
            name: ratio(measured[one.ours][str(c)].rounds, measured[one.static][str(c)].rounds)
            for name, one in RATIOS.items()
        }
        for c in CONNECTIONS
    }
    paths = {name: {c: f.row for c, f in rows.items()} for name, rows in measured.items()}
    report = {
        "ratio_to_static": {n: told["median"] for n, told in ratios[RATIO_AT].items()},
        "ratio_to_static_by_connections": ratios,
        "node_calls": calls,
        "profile_us": steps,
        "paths": paths,
        "raw_redis": raw,
        "vaults": VAULTS,
        "assets_per_vault": ASSETS,
        "rounds": ROUNDS,
        "round_seconds": SECONDS,
        "load_average_before": round(load_average, 2),
    }
    path = save("read", report)
    (DOCS / "images" / "reading.svg").write_text(_chart(paths), encoding="utf-8")
    print(write_page())
    print(f"saved: {path.name}")


if __name__ == "__main__":
    asyncio.run(main())
