"""``balance-cache bench``: how fast the configured cache answers. Writes nothing."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from dataclasses import dataclass

from rich.console import Console

from cli.output import table
from domain.errors import InvalidValueError
from domain.values import Address, ChainId, Fresh
from runtime.assembly import Runtime

_LOOKED_AT = 2_000
_MOST_READERS = 256


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        reads: reads that were answered.
        reads_per_second: of all readers together.
        vaults: vaults in one read.
        fresh_share: part of the vaults that were fresh.
        p50_ms: half of the reads took no longer.
        p99_ms: of a hundred reads, 99 took no longer.
    """

    reads: int
    reads_per_second: float
    vaults: int
    fresh_share: float
    p50_ms: float
    p99_ms: float


async def measure(
    runtime: Runtime, chain_id: ChainId, *, vaults: int, readers: int, seconds: float
) -> Figures:
    """Read so many vaults at once, by so many readers, for so long; counts as no read.

    Hot vaults are read, where there are; else addresses that nobody has.

    Raises:
        InvalidValueError: a number below one, or too many readers.
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: a read was not answered: then there are no figures.
    """
    if vaults < 1 or not 1 <= readers <= _MOST_READERS or seconds <= 0:
        raise InvalidValueError(
            f"--vaults and --seconds must be above 0, --readers between 1 and {_MOST_READERS}"
        )
    runtime.settings.network(chain_id)
    asked = await _asked(runtime, chain_id, vaults)
    took: list[float] = []
    fresh = 0
    ends_at = time.monotonic() + seconds

    async def read() -> None:
        nonlocal fresh
        while (begun := time.monotonic()) < ends_at:
            answers = await runtime.cache.read(chain_id, asked, counted=False)
            took.append(time.monotonic() - begun)
            fresh += sum(isinstance(answer, Fresh) for answer in answers.values())

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(readers):
            group.create_task(read())
    lasted = time.monotonic() - begun
    ordered = sorted(took)
    return Figures(
        reads=len(took),
        reads_per_second=round(len(took) / lasted, 1),
        vaults=len(asked),
        fresh_share=round(fresh / (len(took) * len(asked)), 4),
        p50_ms=round(statistics.median(ordered) * 1000, 3),
        p99_ms=round(ordered[int(0.99 * (len(ordered) - 1))] * 1000, 3),
    )


async def _asked(runtime: Runtime, chain_id: ChainId, vaults: int) -> list[Address]:
    hot = [address for address, _ in await runtime.inspector.hottest(chain_id, _LOOKED_AT)]
    unknown = [f"0x{secrets.token_hex(32)}" for _ in range(vaults - len(hot[:vaults]))]
    return [*hot[:vaults], *unknown]


def print_figures(shown: Console, figures: Figures) -> None:
    """Print the figures for people."""
    rows = [
        ("vaults in one read", str(figures.vaults)),
        ("fresh", f"{100 * figures.fresh_share:.1f} %"),
        ("reads", str(figures.reads)),
        ("reads a second", f"{figures.reads_per_second:g}"),
        ("p50", f"{figures.p50_ms:g} ms"),
        ("p99", f"{figures.p99_ms:g} ms"),
    ]
    shown.print(table("", ("", ""), rows))
