"""Who is signed in: Bako's tokens, by Redis first and by the table after.

Fail closed: a token that nobody can vouch for now is no token (503), and whatever about a
session is odd makes it none (401).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, Protocol

import structlog

from api.problems import unauthorized
from cache.sessions import Look
from domain.errors import CacheUnavailableError
from domain.values import ChainId, read_chain_id
from registry.records import StoredSession

_LONGEST_TOKEN = 4_096
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Vouched:
    """A session in Redis.

    Attributes:
        token: its token.
        raw: its bytes.
        ends_at: when it is over, in seconds since 1970.
    """

    token: str = field(repr=False)
    raw: bytes = field(repr=False)
    ends_at: float


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user and the network that he selected.

    Attributes:
        user_id: his uuid.
        user_address: his address, as his session has it.
        chain_id: which balances he sees.
        network_url: how Bako wrote the network; empty where it did not.
        registry_version: of the registry when he was let in; None: nobody could tell.
        vouched: the session in Redis that let him in; None: it was the table.
    """

    user_id: str
    user_address: str
    chain_id: ChainId
    network_url: str
    registry_version: bytes | None = field(default=None, compare=False)
    vouched: Vouched | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ServiceCaller:
    """A service with a key: it may see every vault, and says which network and user it means.

    Attributes:
        chain_id: which balances it wants.
        user_id: whose vaults, where the question is about a user.
        registry_version: None: it is not looked up for services.
    """

    chain_id: ChainId
    user_id: str | None
    registry_version: bytes | None = None


class CachedSessions(Protocol):
    """Bako's sessions in Redis: the parsed JSON of ``session-{token}``."""

    async def get_many(self, tokens: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the sessions that Redis has and that can be read, by token."""
        ...

    async def look(self, token: str) -> Look:
        """Return a session, if Redis has one that can be read, and the registry's version."""
        ...


class StoredSessions(Protocol):
    """Bako's table of tokens."""

    async def session(self, token: str) -> StoredSession | None:
        """Return the login of a token."""
        ...


@dataclass(frozen=True, slots=True)
class Authentication:
    """Checks the two headers of Bako's clients."""

    cached: CachedSessions
    stored: StoredSessions

    async def caller(self, token: str | None, signer_address: str | None) -> Caller:
        """Return who calls.

        Raises:
            ProblemError: 401, nobody whom we know.
            RegistryUnavailableError: neither Redis nor the database could say.
        """
        if not token or not signer_address:
            raise unauthorized("The headers Authorization and signeraddress are required.")
        if len(token) > _LONGEST_TOKEN or not (token.isascii() and token.isprintable()):
            raise unauthorized("The token is not valid.")
        caller = await self._find(token)
        if caller is None or not _same(caller.user_address, signer_address):
            raise unauthorized("The token is not valid, is over, or is not of this signer.")
        return caller

    async def cached_callers(self, tokens: Sequence[str]) -> Mapping[str, Caller | None]:
        """Return who stands behind the tokens that Redis knows; None: the session is over.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        sessions = await self.cached.get_many(tokens)
        return {token: _from_redis(session) for token, session in sessions.items()}

    async def stored_caller(self, token: str) -> Caller | None:
        """Return who stands behind a token that Redis does not know; None: nobody.

        Raises:
            RegistryUnavailableError: the database does not answer.
        """
        return _from_table(await self.stored.session(token))

    async def _find(self, token: str) -> Caller | None:
        try:
            look = await self.cached.look(token)
        except CacheUnavailableError:
            _log.warning("session_cache_unavailable")
            return await self.stored_caller(token)
        if look.session is not None and look.raw is not None:
            caller = _from_redis(look.session)
            ends_at = _end_of(look.session.get("expired_at"))
            if caller is not None and ends_at is not None:
                vouched = Vouched(token, look.raw, ends_at.timestamp())
                caller = replace(caller, vouched=vouched)
        else:
            caller = await self.stored_caller(token)
        return caller and replace(caller, registry_version=look.registry_version)


def _same(expected: str, given: str) -> bool:
    return compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def _from_table(stored: StoredSession | None) -> Caller | None:
    if stored is None or stored.expires_at is None:
        return None
    if stored.expires_at.replace(tzinfo=UTC) <= datetime.now(UTC):
        return None
    if stored.chain_id is None:
        return None
    return Caller(stored.user_id, stored.user_address, stored.chain_id, stored.network_url)


def _from_redis(session: Mapping[str, Any]) -> Caller | None:
    network = session.get("network")
    if not isinstance(network, dict) or _is_over(session.get("expired_at")):
        return None
    user_id, address = session.get("user_id"), session.get("address")
    chain_id = read_chain_id(network.get("chainId"))
    if not isinstance(user_id, str) or not isinstance(address, str) or chain_id is None:
        return None
    return Caller(user_id, address, chain_id, str(network.get("url") or ""))


def _is_over(expired_at: Any) -> bool:
    moment = _end_of(expired_at)
    return moment is None or moment <= datetime.now(UTC)


def _end_of(expired_at: Any) -> datetime | None:
    """Return when a session ends; None: it is no date as JavaScript writes it."""
    try:
        moment = datetime.fromisoformat(expired_at)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
