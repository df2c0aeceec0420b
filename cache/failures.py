"""One place where the errors of the Redis client become ours, and cancellations are heeded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from domain.errors import CacheUnavailableError

_FAILURES = (RedisError, OSError, TimeoutError)


class _Unavailable:
    """`refusals` and `heeding_cancellation` in one, without generators: it is on the read path."""

    __slots__ = ("_before", "_task")

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is not None:
            if isinstance(error, _FAILURES):
                raise _as_unavailable(error) from error
        elif self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError


def unavailable() -> _Unavailable:
    """Turn every failure of the client or the server into `CacheUnavailableError`."""
    return _Unavailable()


@contextmanager
def refusals() -> Iterator[None]:
    """Turn errors that stand among answers into `CacheUnavailableError`; nothing is awaited.

    The message names the kind of failure alone: a client's text may hold the server's address.
    """
    try:
        yield
    except _FAILURES as error:
        raise _as_unavailable(error) from error


def _as_unavailable(error: BaseException) -> CacheUnavailableError:
    return CacheUnavailableError(f"Redis does not answer: {type(error).__name__}")


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Raise the cancellation that came meanwhile, where the Redis client swallowed it.

    The client bounds its writes by `asyncio.wait_for`, which before Python 3.12 returns as if
    nothing had happened when it is cancelled in the moment in which the write is done
    (python/cpython#86296). A loop that asks again and again would then never end.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
