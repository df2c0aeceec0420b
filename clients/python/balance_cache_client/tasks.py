"""Enqueuing straight to the broker, for programs that speak Celery: ``pip install …[celery]``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import KombuError

from balance_cache_client.errors import NotEnqueuedError

_THREADS = 2
_OPEN_SECONDS = 5.0
_WARM_UP_LIFE_SECONDS = 120
_CONFIRM_SECONDS = 5.0
"""A confirm that is lost must not keep a thread for ever: the message is sent once more, over a new
link."""

_UNANSWERED = (TimeoutError, KombuError, OSError, AMQPError)
"""kombu passes RabbitMQ's refusals on as they are, for example of a queue while it starts."""

_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class TaskSender:
    """Enqueues the service's tasks by their names; never waits longer than `seconds`.

    On a Redis broker a message that this sends is not in the service's journal of accepted
    invalidations: a broker killed at the wrong moment may lose it. Use the HTTP client's
    `invalidate`, or RabbitMQ, for what must not be lost.
    """

    def __init__(self, app: Celery, *, seconds: float = 0.1) -> None:
        """Use the program's own app, connected to the service's broker."""
        self._app = app
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="balance-cache-tasks")
        self._places = asyncio.Semaphore(_THREADS)
        self._hanging = 0

    async def open(self) -> None:
        """Connect ahead of the first task, at a program's start; a broker that is away is no error.

        The first task would otherwise pay for loading and connecting, and be given up.
        """
        loop = asyncio.get_running_loop()
        with suppress(*_UNANSWERED):
            async with asyncio.timeout(_OPEN_SECONDS):
                await loop.run_in_executor(self._threads, self._connect)

    async def warm_user(self, user_id: str, chain_id: int | None = None) -> str:
        """Enqueue a login's warm-up; return the task's id.

        Raises:
            NotEnqueuedError: the broker did not confirm it in time.
        """
        args = (user_id, chain_id)
        return await self._send("balances.warm_user", args, "warmup", _WARM_UP_LIFE_SECONDS)

    async def invalidate(
        self,
        addresses: Sequence[str],
        chain_id: int | None = None,
        block_height: int | None = None,
        transaction_id: str | None = None,
    ) -> str:
        """Enqueue an invalidation, which refills too; return the task's id.

        Raises:
            NotEnqueuedError: the broker did not confirm it in time. Send it again.
        """
        args = (list(addresses), chain_id, block_height, transaction_id)
        return await self._send("balances.invalidate", args, "invalidation", None)

    def close(self) -> None:
        """Give up what is being sent; the app stays its owner's."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _send(
        self, name: str, args: Sequence[object], queue: str, expires: float | None
    ) -> str:
        if self._hanging == _THREADS:  # all of them are in a dead broker's connection
            raise NotEnqueuedError(f"{name}: the broker does not answer")
        loop = asyncio.get_running_loop()
        sending: asyncio.Future[str] | None = None
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
                sending = loop.run_in_executor(
                    self._threads, self._publish, name, args, queue, expires
                )
                sending.add_done_callback(self._thread_is_free)
                return await asyncio.shield(sending)
        except _UNANSWERED as error:
            if sending is not None and not sending.done():
                self._hanging += 1
                sending.add_done_callback(self._has_come_back)
            raise NotEnqueuedError(f"{name}: the broker did not take it in time") from error

    def _connect(self) -> None:
        """Do all that the first task would otherwise do: load, route, connect."""
        self._app.finalize()
        self._app.backend  # noqa: B018 - built on first use
        self._app.amqp.router  # noqa: B018 - built on first use
        with self._app.producer_or_acquire() as producer:
            producer.connection.ensure_connection(max_retries=1, timeout=_OPEN_SECONDS)

    def _lane(self, name: str) -> Queue:
        """Return the lane as the service declares it: whoever comes first creates it."""
        is_redis = self._app.connection().transport.driver_type == "redis"
        arguments = None if is_redis else {"x-queue-type": "quorum"}
        return Queue(name, Exchange(name), routing_key=name, queue_arguments=arguments)

    def _has_come_back(self, _: asyncio.Future[str]) -> None:
        self._hanging -= 1

    def _thread_is_free(self, sending: asyncio.Future[str]) -> None:
        self._places.release()
        if not sending.cancelled():
            sending.exception()  # nobody may be waiting any more: mark it as seen

    def _publish(self, name: str, args: Sequence[object], queue: str, expires: float | None) -> str:
        sent = self._app.send_task(
            name,
            args=args,
            exchange=queue,
            routing_key=queue,
            declare=[self._lane(queue)],
            expires=expires,
            ignore_result=True,
            retry=True,
            retry_policy=_RETRY_ONCE,
            confirm_timeout=_CONFIRM_SECONDS,
        )
        return str(sent.id)
