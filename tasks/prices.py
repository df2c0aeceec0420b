"""Prices of our own source are fetched again before they are old."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from domain.errors import PriceSourceError
from tasks.declare import UnfinishedError, declare_task
from tasks.later import Follow
from tasks.names import REFRESH_PRICES, Queue
from tasks.parts import Parts
from tasks.switches import is_switched_off

_EXPIRES_SECONDS = 60
_log = structlog.get_logger("tasks")


@declare_task(
    REFRESH_PRICES,
    queue=Queue.REFRESH,
    deadline_seconds=20,
    expires_seconds=_EXPIRES_SECONDS,
    retries=3,
)
async def refresh_prices(parts: Parts) -> Sequence[Follow]:
    """Fetch the prices if the kept ones are older than PRICE_REFRESH_SECONDS.

    A source that fails leaves the known ones; beat comes round again soon.
    """
    settings = parts.settings
    if is_switched_off(
        REFRESH_PRICES,
        {
            "ENABLE_BALANCE_CACHE=false": settings.enable_balance_cache,
            "PRICE_SOURCE unset": settings.price_source is not None,
        },
    ):
        return ()
    try:
        count = await parts.refresh_prices(older_than_seconds=settings.price_refresh_seconds)
    except PriceSourceError as error:
        raise UnfinishedError(str(error), ()) from error
    if count is not None:
        _log.info("prices.refreshed", prices=count)
    return ()
