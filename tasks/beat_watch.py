"""Every worker process listens for beat: when it is silent, one of them says so, now and again.

Beat itself cannot tell that it is dead. What only beat enqueues leaves a sign in Redis when it
arrives, so that a lane that nobody works on is noticed by the workers of the other lanes too.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from celery import signals

from cache.heartbeat import Heartbeat
from domain.errors import BalanceCacheError, CacheUnavailableError
from tasks.loop import process_loop
from tasks.parts import Parts

_log = structlog.get_logger("tasks")
_OPEN_SECONDS = 5.0


async def watch(beat: Heartbeat, silent_seconds: float) -> None:
    """Warn while beat is silent for longer than this, until cancelled.

    A beat that was never heard of counts as silent from now on: it may be about to start.
    """
    started = time.monotonic()
    while True:
        await asyncio.sleep(silent_seconds / 4)
        try:
            silence = await beat.silent_seconds()
            if silence is None:
                silence = time.monotonic() - started
            if silence > silent_seconds and await beat.may_tell(silent_seconds):
                _log.warning(
                    "beat.silent",
                    seconds=round(silence),
                    reason="beat is gone, or nobody works on the refresh lane",
                )
        except CacheUnavailableError:
            continue  # whoever needs Redis says so


async def _start(parts: Parts) -> None:
    if parts.settings.enable_balance_cache:
        parts.background.start(watch(parts.beat, parts.settings.beat_silent_seconds))


@signals.worker_process_init.connect
def _watch_beat(**_: Any) -> None:
    try:
        process_loop.run(_start, deadline_seconds=_OPEN_SECONDS)
    except (BalanceCacheError, OSError, TimeoutError) as error:
        _log.warning("beat.not_watched", reason=str(error))
