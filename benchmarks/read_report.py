"""Writes docs/reading.md out of what `make bench-read` and the commands beside it have measured.

`make docs` writes it again from what is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import saved
from benchmarks.read_names import DASHBOARD, RATIO_AT, RATIOS, STATIC_PAGE, STATIC_VAULT, VAULT
from benchmarks.servers_report import section

DOCS = Path(__file__).parents[1] / "docs"

_HEAD = """# Reading: how fast, beside what

Written by `make bench-read` (again, from what is saved: `make docs`); figures in
`benchmarks/results/read.json`. Machine: {machine}.
One server process each on one processor; the program that loads it, Redis and the node share the
other; {vaults} vaults of {assets} assets, everything cached. A run in which any answer was wrong
reports nothing. Static bytes are sent by the same server from the place of the hot path
([0045](decisions/0045-answers-are-sent-again.md)), asked for with the same request headers.

Each path takes turns of {seconds:g} s with its static bytes, over {rounds} rounds whose order
alternates. A ratio is the median of the rounds' ratios, in brackets their quartiles; *by CPU* is
the same by processor time of the server. At 16 connections the load took at most {load_busy:.0%} of
its processor: it is the server that is measured. The machine's load average before was {load:.1f}:
what else runs makes every figure worse, static bytes' too, and the ratios scatter.

![A page of ten vaults before and after](images/reading.svg)

"""

ELSEWHERE = ("cache", "storm_redis_threads", "streams", "servers")
"""The results of other commands that the document shows."""


def write_page() -> str:
    """Write the document from what is saved, and return it."""
    report = saved("read")
    text = page(report["machine"], report, {name: saved(name) for name in ELSEWHERE})
    (DOCS / "reading.md").write_text(text, encoding="utf-8")
    return text


def page(
    machine: Mapping[str, Any],
    report: Mapping[str, Any],
    elsewhere: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the document; `elsewhere` are the results named in `ELSEWHERE`."""
    cpus = f"{machine['cpus']} CPUs {machine['cpu']}"
    named = f"{machine['system']}, {cpus}, Python {machine['python']}"
    paths = report["paths"]
    compared = [name for one in RATIOS.values() for name in (one.ours, one.static)]
    lines = [
        _HEAD.format(
            machine=f"{named}, {machine['when'][:10]}",
            vaults=report["vaults"],
            assets=report["assets_per_vault"],
            seconds=report["round_seconds"],
            load=report["load_average_before"],
            rounds=report["rounds"],
            load_busy=max(paths[name][RATIO_AT]["load_busy"] for name in compared),
        )
    ]
    lines += _ratios(report["ratio_to_static_by_connections"], paths)
    lines += _page_latencies(paths)
    by_cpu = report["ratio_to_static_by_connections"][RATIO_AT]
    lines += _steps(paths, report["profile_us"], by_cpu)
    lines += [
        "## Calls to the node",
        "",
        "| state | calls per view | ms per view |",
        "|---|---|---|",
    ]
    lines += [
        f"| {state} | {row['calls_per_view']:g} | {row['ms_per_view']:.2f} |"
        for state, row in report["node_calls"].items()
    ]
    lines += [
        "",
        "Vaults that expired and that nobody refreshed cost the first view one call, which is",
        "shared with everybody who waits. What is looked at is refreshed before that",
        "(`REFRESH_AHEAD_SECONDS`).",
        "`node down` is read with `wait=0`: what there is, at once.",
        "",
        *_elsewhere(elsewhere),
        *section(elsewhere["servers"]),
        "## All paths",
        "",
        "| path | connections | p50 ms | p99 ms | max ms | views/s | CPU µs | bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in {**paths, **report["raw_redis"]}.items():
        for connections, row in rows.items():
            cpu = f"{row['cpu_us']:.0f}" if "cpu_us" in row else ""
            size = f"{row['bytes']:.0f}" if "bytes" in row else ""
            lines.append(
                f"| {name} | {connections} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} "
                f"| {row['max_ms']:.1f} | {row['per_second']:,.0f} | {cpu} | {size} |"
            )
    lines += [
        "",
        "cashews and fastapi-cache cache the whole answer of a route in Redis; neither looks at a",
        "session, and neither notices an invalidation that comes while it fetches.",
    ]
    return "\n".join(lines) + "\n"


def _page_latencies(paths: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    alone, many = paths[DASHBOARD]["1"]["p50_ms"], paths[DASHBOARD][RATIO_AT]["p99_ms"]
    asked, static = paths[VAULT]["1"]["p50_ms"], paths[STATIC_VAULT]["1"]["p50_ms"]
    return [
        f"The page of ten: p50 {alone:.2f} ms at one connection (goal 5), p99 {many:.1f} ms at 16",
        "(goal 50). At one connection a path that asks Redis waits for two round trips, one after",
        f"the other, and static bytes for one (a vault: {asked:.2f} and {static:.2f} ms): that is",
        "what the ratios of the first column show. With the local copy there is no second one.",
        "",
    ]


def _steps(
    paths: Mapping[str, Mapping[str, Mapping[str, float]]],
    profile: Mapping[str, Mapping[str, float]],
    by_cpu: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """Say what stands between hot answers and static bytes, step by step."""
    copied, asked = profile["local copy"], profile["asked"]
    static, headers = copied["static"], copied["static with headers"] - copied["static"]
    shown = ("one vault", "dashboard", "not modified")
    rows = {
        "static bytes: uvicorn, tracing, CORS, framework": [static] * len(shown),
        "five more headers": [headers] * len(shown),
        "find the answer, see that it holds, count it": [
            copied[name] - static - headers for name in shown
        ],
        "ask Redis (not with the local copy)": [asked[name] - copied[name] for name in shown],
        "**in all, local copy**": [copied[name] for name in shown],
        "**in all**": [asked[name] for name in shown],
    }
    whole = paths[STATIC_PAGE][RATIO_AT]["cpu_us"]
    left = {goal: whole / goal - whole for goal in (0.85, 0.6, 0.55)}
    with_copy, without = (
        whole / by_cpu[name]["cpu"] for name in ("not_modified_local_copy", "not_modified")
    )
    return [
        "## What stands between them",
        "",
        "Processor time of the server, µs a request of 16 at once, in a process without sockets",
        "(`benchmarks/read_profile.py`): the least of many rounds.",
        "",
        "| step | one vault | dashboard of ten | 304 for it |",
        "|---|---|---|---|",
        *(
            f"| {step} | " + " | ".join(f"{spent:.0f}" for spent in row) + " |"
            for step, row in rows.items()
        ),
        "",
        f"With its sockets a static answer takes {whole:.0f} µs. All the rest may take",
        "; ".join(f"{spare:.0f} µs for a goal of {goal}" for goal, spare in left.items()) + ".",
        "What the process does not hold cannot be answered without asking Redis: the local copy",
        f"alone spares that step. With its sockets it takes {without - with_copy:.0f} µs of a 304",
        f"({with_copy:.0f} with the copy, {without:.0f} without, by the ratios of CPU above),",
        "most of them not in the table: writing to the link, waking by it, reading from it.",
        "Redis shares its processor with the load here.",
        "",
    ]


def _elsewhere(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Show what is measured by commands of its own, as they saved it last."""
    stampede = results["cache"]["stampede_of_1000"]["balance-cache"]
    storm, streams = results["storm_redis_threads"], results["streams"]
    told, memory = streams["publish_to_reader_ms"], streams["memory_mb"]
    reads = f"p50 {storm['read_ms_median']:.1f} ms, p99 {storm['read_ms_p99']:.0f} ms"
    settled = storm["transaction_seconds"]
    times = f"first reader {told['first']:.0f} ms, to the last {told['last']:.0f} ms"
    asked = f"{storm['distinct_vaults']:,} different vaults, {storm['node_requests']} node requests"
    rows = {
        "stampede: 1,000 readers of a cold vault, a fetch of 0.5 s": (
            "cache",
            f"{stampede['fetches']} fetch, {stampede['seconds']:.2f} s",
        ),
        f"login storm: {storm['logins']:,} users with ten vaults, a node of 500 ms": (
            "storm_redis_threads",
            f"{asked}, all warm after {storm['seconds']:.1f} s; ten warm ones meanwhile {reads}",
        ),
        "after a transaction in that storm: from its confirmation to the right balance": (
            "storm_redis_threads",
            f"{min(settled):.2f} to {max(settled):.2f} s",
        ),
        f"{streams['streams']:,} streams on one process": (
            "streams",
            f"{memory['kb_a_stream']:.0f} KB each; from a publish to the {times}",
        ),
    }
    lines = [
        "## Measured by commands of their own",
        "",
        "| what | command | figures | day |",
        "|---|---|---|---|",
    ]
    for what, (name, figures) in rows.items():
        command = f"make bench-{name.partition('_')[0]}"
        day = results[name]["machine"]["when"][:10]
        lines.append(f"| {what} | `{command}` | {figures} | {day} |")
    return [*lines, ""]


def _ratios(
    by_connections: Mapping[str, Mapping[str, Mapping[str, float]]],
    paths: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> list[str]:
    columns = list(by_connections)
    lines = [
        "## Views per second, as a part of static bytes of the same size",
        "",
        "| | goal | "
        + " | ".join(f"{c} connection{'s' * (c != '1')}" for c in columns)
        + f" | by CPU, {RATIO_AT} |",
        "|---|---|" + "---|" * (len(columns) + 1),
    ]
    for name, one in RATIOS.items():
        told = [by_connections[c][name] for c in columns]
        cells = " | ".join(f"{t['median']:.2f} ({t['low']:.2f}-{t['high']:.2f})" for t in told)
        goal = "" if one.goal is None else f"{one.goal}"
        cpu = by_connections[RATIO_AT][name]["cpu"]
        lines.append(f"| {one.shown} | {goal} | {cells} | {cpu:.2f} |")
    at = by_connections[RATIO_AT]
    missed = []
    for name, one in RATIOS.items():
        if one.goal is not None and at[name]["median"] < one.goal:
            rested, static = (1 - paths[n][RATIO_AT]["busy"] for n in (one.ours, one.static))
            missed.append(
                f"{one.shown}, {at[name]['median']:.2f} of {one.goal} ({at[name]['cpu']:.2f} by "
                f"CPU; the server waited {rested:.0%} of the time, with static bytes {static:.0%})"
            )
    told = f"not reached: {'; '.join(missed)}" if missed else "every goal is reached"
    return [*lines, "", f"At {RATIO_AT} connections {told}.", ""]


if __name__ == "__main__":
    write_page()
