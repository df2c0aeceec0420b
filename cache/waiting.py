"""Waiting for leases of others to end: told by notification over one subscription a process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cache.failures import heeding_cancellation
from cache.keys import ENDED_CHANNEL
from cache.leases import Leases, ended_message
from domain.values import Address, ChainId

_SUBSCRIBE_SECONDS = 1.0
_LISTEN_SECONDS = 0.5
_SILENT_SECONDS = 2.0
"""A subscription that says nothing for so long, asked whether it is there, is dead."""

_RECONNECT_SECONDS = 0.1


class _Watch:
    """One waiter, and which of its messages came."""

    def __init__(self, messages: frozenset[str]) -> None:
        self.messages = messages
        self.ended: set[str] = set()
        self._changed = asyncio.Event()

    def tell(self, message: str | None) -> None:
        """Note an end, or with None that ends may have been missed."""
        if message is not None:
            self.ended.add(message)
        self._changed.set()

    async def news(self, at_most_ms: int) -> None:
        """Return when something was told since the last time; at the latest after `at_most_ms`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_ms / 1000):
                await self._changed.wait()
        self._changed.clear()


class Endings:
    """Passes the ends of leases on to local waiters; subscribes at the first one."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._watches: defaultdict[str, set[_Watch]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    @contextlib.contextmanager
    def watch(self, messages: Iterable[str]) -> Iterator[_Watch]:
        """Collect ends from now on."""
        watch = _Watch(frozenset(messages))
        for message in watch.messages:
            self._watches[message].add(watch)
        try:
            yield watch
        finally:
            for message in watch.messages:
                self._watches[message].discard(watch)
                if not self._watches[message]:
                    del self._watches[message]

    async def subscribe(self) -> None:
        """Return when the subscription stands, or cannot be had now: it is tried again behind."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._run(), name="ended leases")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await self._subscribed.wait()

    async def close(self) -> None:
        """End the subscription."""
        if self._listener is None:
            return
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._listener = None

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._listen_once()
            self._subscribed.clear()
            self._wake_all()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        async with self._client.pubsub() as subscription:
            with heeding_cancellation():
                await subscription.subscribe(ENDED_CHANNEL)
            heard_at = time.monotonic()
            while True:
                message = await subscription.get_message(timeout=_LISTEN_SECONDS)
                if message is None:
                    if time.monotonic() - heard_at > _SILENT_SECONDS:
                        return  # a link that is open at our end only would say nothing for ever
                    with heeding_cancellation():
                        await subscription.ping()
                    continue
                heard_at = time.monotonic()
                if message["type"] == "subscribe":
                    self._subscribed.set()
                    self._wake_all()
                elif message["type"] == "message":
                    self._pass_on(message["data"].decode())

    def _pass_on(self, message: str) -> None:
        for watch in self._watches.get(message, ()):
            watch.tell(message)

    def _wake_all(self) -> None:
        """What ended while nobody listened was not told: everybody looks again."""
        for watches in self._watches.values():
            for watch in watches:
                watch.tell(None)


async def wait_until_ended(
    endings: Endings,
    leases: Leases,
    chain_id: ChainId,
    addresses: Iterable[Address],
    timeout_seconds: float,
) -> None:
    """Return when each predicate's present lease has ended, or at the timeout.

    The subscription stands before the leases are looked at, so that no end falls between. A
    leader that died is noticed at its deadline; one that extended is waited for further.
    """
    pending = {ended_message(chain_id, address): address for address in addresses}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await endings.subscribe()
            with endings.watch(pending) as watch:
                while pending:
                    left = await leases.remaining_ms(chain_id, list(pending.values()))
                    pending = {m: a for m, a in pending.items() if left[a] and m not in watch.ended}
                    if pending:
                        await watch.news(min(left[a] for a in pending.values()))
                        pending = {m: a for m, a in pending.items() if m not in watch.ended}
