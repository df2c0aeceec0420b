"""Shows what `make bench-servers` has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def section(results: Mapping[str, Any]) -> list[str]:
    """Return the section of docs/reading.md about servers, frameworks and clients."""
    versions = results["versions"]
    lines = [
        "## Servers, frameworks and clients of Redis",
        "",
        f"By `make bench-servers`, {results['machine']['when'][:10]}, at {results['connections']}",
        "connections; all take turns. The decisions:",
        "[0003](decisions/0003-web-framework-and-server.md),",
        "[0045](decisions/0045-answers-are-sent-again.md).",
        "",
        f"The same {results['bytes']:,} bytes from the same ASGI application, by server:",
        "",
        *_answers(results["servers"], versions),
        "",
        "The same bytes from a route with a path parameter, two headers and a query, by framework,",
        "on uvicorn. Hot answers stand before the route and do not pay for it:",
        "",
        *_answers(results["frameworks"], versions),
        "",
        "The hot path's question (`MGET`, and a `GETRANGE` for each vault), 16 at once, by client:",
        "",
        "| client | one vault, CPU µs | ten, CPU µs | questions/s, one vault | ten |",
        "|---|---|---|---|---|",
    ]
    for name, rows in results["clients"].items():
        one, ten = rows["one vault"], rows["ten vaults"]
        lines.append(
            f"| {_named(name, versions)} | {one['cpu_us']:.0f} | {ten['cpu_us']:.0f} "
            f"| {one['per_second']:,.0f} | {ten['per_second']:,.0f} |"
        )
    return [*lines, ""]


def _answers(rows: Mapping[str, Mapping[str, float]], versions: Mapping[str, str]) -> list[str]:
    return [
        "| | answers/s | p50 ms | p99 ms | max ms | CPU µs |",
        "|---|---|---|---|---|---|",
        *(
            f"| {_named(name, versions)} | {row['per_second']:,.0f} | {row['p50_ms']:.2f} "
            f"| {row['p99_ms']:.2f} | {row['max_ms']:.1f} | {row['cpu_us']:.0f} |"
            for name, row in rows.items()
        ),
    ]


def _named(name: str, versions: Mapping[str, str]) -> str:
    """Return a name with the version of its package, if it begins with one."""
    first, *rest = name.split(" ")
    return " ".join([first, versions[first], *rest]) if first in versions else name
