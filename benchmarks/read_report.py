"""Writes docs/reading.md out of what `make bench-read` has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = """# Reading: how fast, beside what

Written by `make bench-read`; figures in `benchmarks/results/read.json`. Machine: {machine}.
One server process each, loaded by a program of its own; {vaults} vaults of {assets} assets,
everything cached. Medians of alternating rounds, the greatest of the maxima; a run in which any
answer was wrong reports nothing. Static bytes are sent by the same server from the place of the
hot path ([0045](decisions/0045-answers-are-sent-again.md)), with the same request headers.

![A page of ten vaults before and after](images/reading.svg)

"""

_NAMES = {
    "vault": "one vault, goal 0.55",
    "vault_local_copy": "one vault, local copy, goal 0.85",
    "dashboard": "dashboard of ten, goal 0.6",
    "dashboard_local_copy": "dashboard of ten, local copy",
    "not_modified": "304 for the dashboard, goal 0.85",
    "not_modified_local_copy": "304 for the dashboard, local copy",
}


def page(machine: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Return the document."""
    named = f"{machine['system']}, {machine['cpus']} CPUs, Python {machine['python']}"
    lines = [
        _HEAD.format(
            machine=f"{named}, {machine['when'][:10]}",
            vaults=report["vaults"],
            assets=report["assets_per_vault"],
        )
    ]
    lines += _ratios(report["ratio_to_static_by_connections"])
    lines += _gap(report["paths"])
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
        "## All paths",
        "",
        "| path | connections | p50 ms | p99 ms | max ms | views/s | CPU µs | bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in {**report["paths"], **report["raw_redis"]}.items():
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


def _gap(paths: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Say what stands between a path and static bytes: processor time, at 16 connections."""

    def cpu(name: str) -> float:
        return paths[name]["16"]["cpu_us"]

    static, copy = "static, a vault's size", "static, a vault's size (local copy)"
    local, asked = cpu("one vault (local copy)") - cpu(copy), cpu("one vault") - cpu(static)
    ten = cpu("dashboard") - cpu("static, a page's size")
    return [
        "What stands between these and static bytes is processor time of the server, at 16",
        f"connections: {local:.0f} µs a view to find the answer and write its headers (local",
        "copy),",
        f"{asked:.0f} µs with the question to Redis for one vault, {ten:.0f} µs for ten.",
        "Redis, the load and whatever else runs on the machine take part of the same processors:",
        "single figures scatter by a third from run to run.",
        "",
    ]


def _ratios(by_connections: Mapping[str, Mapping[str, float]]) -> list[str]:
    columns = list(by_connections)
    lines = [
        "## Views per second, as a part of static bytes of the same size",
        "",
        "| | " + " | ".join(f"{c} connections" for c in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, shown in _NAMES.items():
        cells = " | ".join(f"{by_connections[c][name]:.2f}" for c in columns)
        lines.append(f"| {shown} | {cells} |")
    return [*lines, ""]
