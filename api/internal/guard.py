"""Who may pass the internal doors: a key, an address, and not too often. Fail closed."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

import structlog
from starlette.requests import Request

from api.problems import ProblemError, unavailable
from config.settings import IpNetwork, Settings
from domain.errors import CacheUnavailableError

_WINDOW_SECONDS = 60
_LEFT_BY_PROXIES = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
_log = structlog.get_logger(__name__)

IpAddress = IPv4Address | IPv6Address


class SharedLimit(Protocol):
    """Counts a caller's calls for all processes."""

    async def take(self, caller: str) -> int:
        """Count one call; 0: allowed, else the seconds to wait."""
        ...


class LocalLimit:
    """Counts a caller's calls in this process alone: what is left while Redis is away."""

    def __init__(self, calls_per_minute: int) -> None:
        self._limit = calls_per_minute
        self._window = 0
        self._calls: Counter[str] = Counter()

    async def take(self, caller: str) -> int:
        """Count one call; return 0 if it is allowed, else the seconds until the next window."""
        window, passed = divmod(int(time.time()), _WINDOW_SECONDS)
        if window != self._window:
            self._window = window
            self._calls.clear()
        self._calls[caller] += 1
        return 0 if self._calls[caller] <= self._limit else _WINDOW_SECONDS - passed


class Guard:
    """Lets a service caller in, or says why not.

    Args:
        settings: keys, allowed addresses, trusted proxies, calls a minute.
        shared: counts calls for all processes.
    """

    def __init__(self, settings: Settings, shared: SharedLimit) -> None:
        self._keys = [key.encode() for key in settings.internal_api_keys]
        self._allowed = settings.internal_allowed_cidrs
        self._proxies = settings.trusted_proxies
        self._shared = shared
        self._local = LocalLimit(settings.internal_rate_limit)
        if not self._keys:
            _log.warning("internal_api_shut", why="INTERNAL_API_KEY is not set")

    async def admit(self, request: Request, *, key: str | None = None) -> None:
        """Let the caller pass, by the header X-API-Key or by the key that he gave otherwise.

        Raises:
            ProblemError: 503 no key is configured, 403 not from there, 429 too often, 401 no
                valid key.
        """
        if not self._keys:
            _log.warning("internal_call_refused", why="INTERNAL_API_KEY is not set")
            raise unavailable("The internal API is shut: no key is configured.")
        address = client_address(request, self._proxies)
        if not self._is_allowed(address):
            _log.warning("internal_call_refused", why="address", address=str(address))
            raise ProblemError(403, "Forbidden", "Calls from this address are not allowed.")
        sent = request.headers.getlist("x-api-key")
        # Given twice it is none: whoever stands before us may have looked at the other one.
        given = key if key is not None else sent[0] if len(sent) == 1 else ""
        is_known = self._is_key(given)
        await self._limit(f"{address} {_name(given) if is_known else 'unknown'}")
        if not is_known:
            _log.warning("internal_call_refused", why="key", address=str(address))
            detail = "The header X-API-Key is missing or not valid."
            raise ProblemError(401, "Unauthorized", detail, {"WWW-Authenticate": "ApiKey"})

    def _is_key(self, given: str) -> bool:
        """Compare with every key, in a time that tells nothing about which one is near."""
        raw = given.encode("utf-8", "surrogateescape")
        return sum(compare_digest(raw, key) for key in self._keys) > 0

    def _is_allowed(self, address: IpAddress | None) -> bool:
        return not self._allowed or (address is not None and _is_in(address, self._allowed))

    async def _limit(self, caller: str) -> None:
        try:
            wait = await self._shared.take(caller)
        except CacheUnavailableError:
            wait = await self._local.take(caller)
        if wait:
            _log.warning("internal_call_refused", why="rate")
            raise ProblemError(
                429, "Too many requests", f"Try again in {wait} s.", {"Retry-After": str(wait)}
            )


def client_address(request: Request, proxies: Sequence[IpNetwork]) -> IpAddress | None:
    """Return who calls: the peer, or the last one in X-Forwarded-For that is no proxy of ours.

    The header counts only from a trusted proxy, and is read from its end: whatever stands
    further left could have been written by the caller himself.
    """
    hops = [request.client.host if request.client else ""]
    for header in reversed(request.headers.getlist("x-forwarded-for")):
        hops += reversed([part.strip() for part in header.split(",")])
    for hop in hops:
        try:
            address = ip_address(hop)
        except ValueError:
            return None
        if not _is_in(address, proxies):
            return address
    return address


def certain_address(request: Request, proxies: Sequence[IpNetwork]) -> str | None:
    """Return who calls, for a door that opens by address alone; None: nobody can tell.

    That is so when a proxy stands in between that is not among the trusted ones: its own address
    (often this machine's) must not open the door to everybody behind it.
    """
    try:
        peer = ip_address(request.client.host if request.client else "")
    except ValueError:
        return None
    if not _is_in(peer, proxies) and any(name in request.headers for name in _LEFT_BY_PROXIES):
        return None
    address = client_address(request, proxies)
    return None if address is None else str(address)


def _is_in(address: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in networks)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
