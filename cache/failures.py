"""One place where the errors of the Redis client become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from domain.errors import CacheUnavailableError


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn every failure of the client or the server into `CacheUnavailableError`.

    The message names the kind of failure alone: a client's text may hold the server's address.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise CacheUnavailableError(f"Redis does not answer: {type(error).__name__}") from error
