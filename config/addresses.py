"""Addresses of services: recognisably wrong ones are refused before anything starts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

SCHEMES: Mapping[str, Collection[str]] = {
    "redis_url": ("redis", "rediss", "unix", "redis+cluster", "redis+sentinel"),
    "shadow_redis_url": ("redis", "rediss", "unix"),
    "celery_broker_url": ("redis", "rediss", "amqp", "amqps", "pyamqp"),
    "database_url": (
        "postgresql",
        "postgres",
        "postgresql+asyncpg",
        "sqlite",
        "sqlite+aiosqlite",
    ),
}
"""How the address of each service may begin."""

_WITHOUT_HOST = frozenset({"unix", *SCHEMES["database_url"]})
"""Files, and PostgreSQL's socket, which its query names."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


def is_same_redis(one: str, other: str) -> bool:
    """Tell whether two checked addresses name one database of one Redis, as far as they say."""
    return one == other or _place(one) == _place(other) is not None


def _place(address: str) -> tuple[str | None, int, str, str] | None:
    """Return host, port, database and query; None where the address names several hosts."""
    parts = urlsplit(address)
    if parts.scheme not in {"redis", "rediss"}:
        return None
    return parts.hostname, parts.port or 6379, parts.path.strip("/") or "0", parts.query


def check_address(address: str, schemes: Collection[str]) -> None:
    """Check what can be told of an address without using it.

    Raises:
        ValueError: it begins otherwise, or its host or port is none. The address stays out of the
            message, for it may hold a password.
    """
    scheme, separator, _ = address.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"expected an address that begins with {' or '.join(schemes)}, then ://")
    if _CONTROL_CHARACTER.search(address):
        raise ValueError("the address holds a control character")
    if scheme == "redis+sentinel":
        return  # a list of hosts; whoever connects takes it apart
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host and scheme not in _WITHOUT_HOST:
        raise ValueError("the address has no host, or a port that is none")
