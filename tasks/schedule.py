"""What beat enqueues, how often, and when an entry is no longer worth running."""

from __future__ import annotations

from typing import Any

from config.settings import Settings
from tasks.names import (
    AUDIT,
    CONFIRM_SECONDS,
    FOLLOW,
    FOLLOW_SECONDS,
    FORGET_REPLIES,
    KEEP,
    PRUNE,
    PUBLISH_LOST,
    REFRESH_DUE,
    REFRESH_PRICES,
    Queue,
)

_PRICE_LOOK_SECONDS = 15.0
"""How often it is looked whether prices are due: a new deployment has none, and must not wait for a
whole interval. The task fetches nothing while the kept ones are young."""

_PRUNE_SECONDS = 600.0
"""How often it is looked for history that is old enough to be forgotten."""

_REPLIES_SECONDS = 60.0
"""How often answers to remote control that nobody fetched are looked for."""

_LOST_LOOK_SECONDS = 5.0
"""How often it is looked whether an accepted invalidation was lost on its way to a worker."""


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the entries, one per network each: a node that hangs delays its own network alone.

    An entry that waited for a whole interval is dropped, because the next one is there. Two
    beats do no harm: a predicate that is fresh or being fetched is not due, and a chain that is
    followed is not followed twice.
    """
    entries = {
        **_refreshes(settings),
        **_lost_messages(),
        **_replies(),
        **(_keeping(settings) if settings.durable_enabled else {}),
        **(_audits(settings) if settings.audit_enabled else {}),
        **(_followers(settings) if _follows(settings) else {}),
        **(_prices(settings) if settings.price_source is not None else {}),
    }
    for entry in entries.values():
        entry["options"]["confirm_timeout"] = CONFIRM_SECONDS
    return entries


def _refreshes(settings: Settings) -> dict[str, dict[str, Any]]:
    interval = settings.refresh_interval_seconds
    return {
        f"refresh-due-{chain_id}": {
            "task": REFRESH_DUE,
            "schedule": interval,
            "args": (chain_id,),
            "options": {"queue": Queue.REFRESH.value, "expires": max(interval, 1.0)},
        }
        for chain_id in settings.chain_ids
    }


def _lost_messages() -> dict[str, dict[str, Any]]:
    return {
        "publish-lost": {
            "task": PUBLISH_LOST,
            "schedule": _LOST_LOOK_SECONDS,
            "options": {"queue": Queue.INVALIDATION.value, "expires": _LOST_LOOK_SECONDS},
        }
    }


def _replies() -> dict[str, dict[str, Any]]:
    return {
        "forget-replies": {
            "task": FORGET_REPLIES,
            "schedule": _REPLIES_SECONDS,
            "options": {"queue": Queue.REFRESH.value, "expires": _REPLIES_SECONDS},
        }
    }


def _follows(settings: Settings) -> bool:
    return settings.follow_enabled and settings.enable_balance_cache


def _followers(settings: Settings) -> dict[str, dict[str, Any]]:
    return {
        f"follow-{chain_id}": {
            "task": FOLLOW,
            "schedule": float(FOLLOW_SECONDS),
            "args": (chain_id,),
            "options": {"queue": Queue.INVALIDATION.value, "expires": float(FOLLOW_SECONDS)},
        }
        for chain_id in settings.chain_ids
    }


def _audits(settings: Settings) -> dict[str, dict[str, Any]]:
    interval = settings.audit_interval_seconds
    return {
        f"audit-{chain_id}": {
            "task": AUDIT,
            "schedule": interval,
            "args": (chain_id,),
            "options": {"queue": Queue.REFRESH.value, "expires": max(interval, 1.0)},
        }
        for chain_id in settings.chain_ids
    }


def _keeping(settings: Settings) -> dict[str, dict[str, Any]]:
    intervals = {KEEP: settings.durable_interval_seconds, PRUNE: _PRUNE_SECONDS}
    return {
        task: {
            "task": task,
            "schedule": interval,
            "options": {"queue": Queue.REFRESH.value, "expires": max(interval, 1.0)},
        }
        for task, interval in intervals.items()
    }


def _prices(settings: Settings) -> dict[str, dict[str, Any]]:
    interval = min(_PRICE_LOOK_SECONDS, settings.price_refresh_seconds)
    return {
        "refresh-prices": {
            "task": REFRESH_PRICES,
            "schedule": interval,
            "options": {"queue": Queue.REFRESH.value, "expires": max(interval, 1.0)},
        }
    }
