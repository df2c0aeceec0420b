"""Work that goes on behind an answer: refills that outlive their reader, marks of the hot set."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from domain.errors import BalanceCacheError
from domain.ports import BalanceCache, RefillOutcome
from domain.values import Address, ChainId, Lane
from provider.refilling import Refiller

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")

MARK_SECONDS = 1.0
"""How long marks of the hot set are gathered: one command a second, not one a read."""


class BackgroundWork:
    """Keeps tasks alive that nobody awaits, and tells when they fail."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run work to its end even when its starter stops waiting."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, BalanceCacheError):
            _log.info("background_work_failed", error=str(error))
        elif error is not None:
            _log.error("background_work_broke", exc_info=error)

    async def close(self) -> None:
        """End everything."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class RefreshBehind:
    """Refills what was served although it is due or stale, once at a time per predicate."""

    def __init__(self, work: BackgroundWork, refiller: Refiller) -> None:
        self._work = work
        self._refiller = refiller
        self._under_way: set[Address] = set()

    def start(self, versions: Mapping[Address, int]) -> None:
        """Refill these, without waiting; what was published since these versions stays."""
        news = {a: version for a, version in versions.items() if a not in self._under_way}
        if news:
            self._under_way.update(news)
            self._work.start(self._refill(news))

    async def _refill(self, versions: Mapping[Address, int]) -> dict[Address, RefillOutcome]:
        try:
            return await self._refiller.refill(list(versions), lane=Lane.REFRESH, seen=versions)
        finally:
            self._under_way.difference_update(versions)


class HotMarks:
    """Gathers who was read, and tells the cache about once a second."""

    def __init__(self, work: BackgroundWork, cache: BalanceCache, chain_id: ChainId) -> None:
        self._work = work
        self._cache = cache
        self._chain_id = chain_id
        self._read: dict[Address, None] = {}

    def add(self, addresses: Sequence[Address]) -> None:
        """Note that somebody reads these predicates."""
        if addresses and not self._read:
            self._work.start(self._tell())
        self._read |= dict.fromkeys(addresses)

    async def _tell(self) -> None:
        try:
            await asyncio.sleep(MARK_SECONDS)
        finally:
            read, self._read = list(self._read), {}
        await self._cache.mark_read(self._chain_id, read)
