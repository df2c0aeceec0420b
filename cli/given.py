"""The services that the environment names, looked at before anything is started."""

from __future__ import annotations

import asyncio

from cache.connection import connect
from cache.sessions import SessionStore
from config.settings import Settings
from domain.errors import CacheUnavailableError, ConfigurationError
from runtime.start_up import refuse_wrong_chains
from tasks.neighbours import workers_at_the_broker


async def check_given(given: Settings, *, simulate: bool) -> None:
    """Make sure that the cache and the broker answer and nodes serve their chains, where given.

    With simulated nodes our worker knows simulated networks alone, and must not take the tasks of
    others.

    Raises:
        ConfigurationError: one does not answer, others work at the broker, or a node serves
            another chain.
    """
    if not simulate:
        await refuse_wrong_chains(given)
    if "redis_url" in given.model_fields_set:
        await _check_cache(given.redis_url)
    if "celery_broker_url" in given.model_fields_set:
        others = await asyncio.to_thread(workers_at_the_broker, given)
        if others and simulate:
            raise ConfigurationError(
                f"CELERY_BROKER_URL: {', '.join(others)} works there, whose tasks a worker for "
                "simulated networks would take; give it a database or virtual host of its own"
            )


async def _check_cache(url: str) -> None:
    client = connect(url)
    try:
        await SessionStore(client).get("ready")
    except CacheUnavailableError as error:
        raise ConfigurationError(f"REDIS_URL: {error}") from None
    finally:
        await client.aclose()
