"""``balance-cache doctor``: is everything that the service needs there, and set up rightly?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence

from rich.console import Console

from cli.operate.cache_checks import check_database, check_server, check_sessions
from cli.operate.findings import Finding, Status, has_wrong, wrong
from cli.operate.node_checks import check_followers, check_nodes
from cli.operate.task_checks import check_beat, check_broker, check_dead_letters, check_doors
from domain.errors import CacheUnavailableError
from runtime.assembly import Runtime

_SIGNS = {
    Status.GOOD: "[green]✓[/]",
    Status.DOUBTFUL: "[yellow]![/]",
    Status.WRONG: "[bold red]✗[/]",
}


async def examine(runtime: Runtime) -> list[Finding]:
    """Look at everything; what does not answer is a finding too."""
    cache, database, nodes, broker = await asyncio.gather(
        _of_the_cache(runtime),
        check_database(runtime),
        check_nodes(runtime),
        check_broker(runtime.settings),
    )
    return [*cache, database, *broker, *nodes, check_doors(runtime.settings)]


async def _of_the_cache(runtime: Runtime) -> list[Finding]:
    looks: Sequence[Awaitable[Finding | list[Finding]]] = (
        check_server(runtime),
        check_sessions(runtime),
        check_beat(runtime),
        check_followers(runtime),
        check_dead_letters(runtime),
    )
    findings: list[Finding] = []
    for found in await asyncio.gather(*looks, return_exceptions=True):
        if isinstance(found, CacheUnavailableError):
            advice = (
                "is REDIS_URL right, and may this machine connect? Reads go to the node meanwhile"
            )
            return [wrong("redis", str(found), advice)]
        if isinstance(found, BaseException):
            raise found
        findings += found if isinstance(found, list) else [found]
    return findings


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings for programs."""
    return {"healthy": not has_wrong(findings), "findings": findings}


def print_findings(shown: Console, findings: Sequence[Finding]) -> None:
    """Print the findings for people, what is to be done below each."""
    for finding in findings:
        shown.print(f"{_SIGNS[finding.status]} [bold]{finding.name}[/]", end="  ", soft_wrap=True)
        shown.print(finding.told, markup=False, soft_wrap=True)
        if finding.advice:
            shown.print(f"    → {finding.advice}", markup=False, soft_wrap=True)
    count = Counter(finding.status for finding in findings)
    shown.print()
    shown.print(
        f"{count[Status.GOOD]} good, {count[Status.DOUBTFUL]} doubtful, {count[Status.WRONG]} wrong"
    )
