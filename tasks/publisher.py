"""Handing tasks to the broker from an event loop, bounded, also when the broker is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Self
from uuid import uuid4

import structlog
from celery import Celery
from celery.exceptions import QueueNotFound

from config.settings import Settings
from domain.errors import PublishingError
from domain.values import ChainId
from tasks import headers, journal, measuring  # noqa: F401 - two of them listen to publishing
from tasks.logins import Logins
from tasks.names import CONFIRM_SECONDS
from tasks.settings import celery_configuration
from tasks.unanswered import UNANSWERED

PUBLISH_SECONDS = 0.1
"""How long a publish may take before its caller is told that the broker did not take it."""

_OPEN_SECONDS = 3.0
_THREADS = 4
_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_log = structlog.get_logger("tasks")


def open_publisher(settings: Settings, *, seconds: float = PUBLISH_SECONDS) -> CeleryPublisher:
    """Return a publisher for these settings; connects at its first use, or by `open`."""
    app = Celery("balance-cache-publisher", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    return CeleryPublisher(app, seconds=seconds)


class CeleryPublisher:
    """Implements `domain.ports.TaskPublisher`.

    Publishing blocks, so it happens in a few threads of its own; who finds all of them at work
    waits for one. A thread that hangs in a dead broker's connection is given up on by its caller;
    when all of them hang, callers are refused at once instead of being queued behind them.
    """

    def __init__(self, app: Celery, *, seconds: float = PUBLISH_SECONDS) -> None:
        self._app = app
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="publisher")
        self._places = asyncio.Semaphore(_THREADS)
        self._hanging = 0
        self._logins = Logins(self.send)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect ahead of the first publish; a broker that is down is only logged."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await loop.run_in_executor(self._threads, self._connect)
        except UNANSWERED as error:
            _log.warning("publisher.broker_unavailable", reason=str(error))

    async def send(
        self,
        name: str,
        args: Sequence[object],
        *,
        queue: str,
        expires: float | None = None,
        kwargs: Mapping[str, object] | None = None,
    ) -> str:
        """Publish one task; see `domain.ports.TaskPublisher`.

        Named arguments are for replaying what others published with some.

        Raises:
            PublishingError: the broker did not confirm it in time. It may still arrive: all
                tasks can run twice without harm, so the caller may publish again.
        """
        if self._hanging == _THREADS:
            raise PublishingError(f"{name}: the broker does not answer")
        # With the context of the caller: the message says for whose request it is.
        publish = partial(
            copy_context().run, self._publish, name, tuple(args), kwargs or {}, queue, expires
        )
        publishing: asyncio.Future[str] | None = None
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
                publishing = asyncio.get_running_loop().run_in_executor(self._threads, publish)
                publishing.add_done_callback(self._thread_is_free)
                return await asyncio.shield(publishing)
        except TimeoutError:
            self._give_up_on(publishing)
            raise PublishingError(f"{name}: not taken within {self._seconds} s") from None
        except (*UNANSWERED, QueueNotFound) as error:
            raise PublishingError(f"{name}: {error}") from error

    async def warm_user(self, user_id: str, chain_id: ChainId | None = None) -> str:
        """Publish the warm-up of a login; see `domain.ports.TaskPublisher`.

        Raises:
            PublishingError: the broker did not confirm it in time.
        """
        return await self._logins.warm(user_id, chain_id)

    async def close(self) -> None:
        """Give up what is being published, and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()

    def _give_up_on(self, publishing: asyncio.Future[str] | None) -> None:
        if publishing is not None and not publishing.done():
            self._hanging += 1
            publishing.add_done_callback(self._has_come_back)

    def _has_come_back(self, _: asyncio.Future[str]) -> None:
        self._hanging -= 1

    def _thread_is_free(self, publishing: asyncio.Future[str]) -> None:
        self._places.release()
        if not publishing.cancelled():
            publishing.exception()  # nobody may be waiting for it any more: mark it as seen

    def _connect(self) -> None:
        """Do all that the first publish would otherwise do: load, route, connect."""
        self._app.finalize()
        self._app.backend  # noqa: B018 - built on first use
        self._app.amqp.router  # noqa: B018 - built on first use
        with self._app.producer_or_acquire() as producer:
            producer.connection.ensure_connection(max_retries=1, timeout=_OPEN_SECONDS)

    def _publish(
        self,
        name: str,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        queue: str,
        expires: float | None,
    ) -> str:
        message_id = uuid4().hex
        if expires is None:
            journal.note(self._app, message_id, name=name, args=args, kwargs=kwargs, queue=queue)
        sent = self._app.send_task(
            name,
            task_id=message_id,
            args=args,
            kwargs=dict(kwargs),
            queue=queue,
            expires=expires,
            ignore_result=True,
            # Once more at once: the first try may meet a connection that died in the pool.
            retry=True,
            retry_policy=_RETRY_ONCE,
            confirm_timeout=CONFIRM_SECONDS,
        )
        return str(sent.id)
