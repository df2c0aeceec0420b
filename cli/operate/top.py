"""``balance-cache top``: the vaults that matter at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from cache.recent import Recent, RecentKind
from cli.operate.by import By
from cli.operate.opened import chains
from cli.output import clock_time, span, table
from domain.values import ChainId
from runtime.assembly import Runtime
from runtime.hottest import HotVault, hot_vaults

LOOKED_AT = 2_000
"""Hot vaults that are looked at, however many there are."""


@dataclass(frozen=True, slots=True)
class Top:
    """What `top` shows; the lists are empty where nothing is."""

    hot: Sequence[HotVault]
    stale: Sequence[HotVault]
    failing: Sequence[Recent]
    slow: Sequence[Recent]


async def find(runtime: Runtime, chain_id: ChainId | None, limit: int) -> Top:
    """Look at the hot set and at what went wrong lately; counts as no read.

    Raises:
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: Redis does not answer.
    """
    meant = chains(runtime.settings, chain_id)
    hot = [vault for each in meant for vault in await hot_vaults(runtime, each, LOOKED_AT)]
    hot.sort(key=lambda vault: -vault.reads)
    stale = [vault for vault in hot if vault.state != "fresh"]
    failing = await _recent(runtime, RecentKind.FAILED, meant)
    slow = await _recent(runtime, RecentKind.SLOW, meant)
    slow.sort(key=lambda one: -(one.seconds or 0))
    return Top(hot[:limit], stale[:limit], failing[:limit], slow[:limit])


async def _recent(runtime: Runtime, kind: RecentKind, meant: Sequence[ChainId]) -> list[Recent]:
    return [one for one in await runtime.recent.latest(kind, 200) if one.chain_id in meant]


def as_json(top: Top, by: By | None) -> dict[str, object]:
    """Return the lists for programs."""
    lists: dict[str, object] = {
        "hot": top.hot,
        "stale": top.stale,
        "failing": top.failing,
        "slow": top.slow,
    }
    return lists if by is None else {by.value: lists[by.value]}


def print_top(shown: Console, top: Top, by: By | None) -> None:
    """Print the lists for people."""
    for kind, vaults in ((By.HOT, top.hot), (By.STALE, top.stale)):
        if by in (None, kind):
            rows = [
                (v.address, str(v.chain_id), f"{v.reads:g}", v.state, span(v.age_seconds))
                for v in vaults
            ]
            _print(shown, kind, ("vault", "chain", "reads", "state", "age"), rows)
    for kind, found in ((By.FAILING, top.failing), (By.SLOW, top.slow)):
        if by in (None, kind):
            lately = [
                (
                    clock_time(one.at_ms),
                    str(one.chain_id),
                    str(one.count),
                    span(one.seconds),
                    one.detail,
                    ", ".join(one.addresses[:1]),
                )
                for one in found
            ]
            headings = ("when (UTC)", "chain", "vaults", "took", "why", "one of them")
            _print(shown, kind, headings, lately)


def _print(
    shown: Console, kind: By, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if rows:
        shown.print(table(kind.value, headings, rows))
    else:
        shown.print(f"[bold]{kind.value}[/]: none")
    shown.print()
