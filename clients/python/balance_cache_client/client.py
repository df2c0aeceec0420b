"""The service, as another service or a user sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from balance_cache_client.errors import BalanceCacheError, MalformedAnswerError
from balance_cache_client.exchange import Call, ask, insist
from balance_cache_client.outcomes import Invalidated, WarmUpOutcome
from balance_cache_client.stream import BalanceEvent, follow


@dataclass(frozen=True, slots=True)
class Session:
    """A user of Bako: the token of his login and the address that signed it."""

    token: str
    signer_address: str


class BalanceCacheClient:
    """Asks balance-cache: ``async with BalanceCacheClient(url, api_key=…) as cache: …``.

    Reads return the answer's JSON as the service documents it. Every call raises
    `BalanceCacheError` or one of its kinds, `warm_up` excepted, which never raises.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        session: Session | None = None,
        read_seconds: float = 6.0,
        invalidate_seconds: float = 10.0,
        warm_up_seconds: float = 0.25,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take note of where the service is; connects at the first call.

        Args:
            url: where the service listens.
            api_key: one of its INTERNAL_API_KEY, for service callers.
            session: for what a user reads.
            read_seconds: how long a read may take.
            invalidate_seconds: how long an invalidation is tried, until it is accepted.
            warm_up_seconds: how long a warm-up may take; a login never waits longer.
            transport: another transport for httpx.
        """
        headers = {} if api_key is None else {"X-API-Key": api_key}
        if session is not None:
            headers |= {"Authorization": session.token, "signeraddress": session.signer_address}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, transport=transport)
        self._read_seconds = read_seconds
        self._invalidate_seconds = invalidate_seconds
        self._warm_up_seconds = warm_up_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def warm_up(self, user_id: str, chain_id: int | None = None) -> WarmUpOutcome:
        """Have a user's vaults warmed; without a chain id, on every network.

        Never raises and never takes longer than `warm_up_seconds`: a login must not depend on it.
        """
        body = _given(userId=user_id, chainId=chain_id)
        call = Call("POST", "/internal/cache/warmup", self._warm_up_seconds, body=body)
        try:
            data = (await ask(self._http, call))["data"]
            return WarmUpOutcome(accepted=True, task_id=data["taskId"], total=data["total"])
        except (BalanceCacheError, KeyError, TypeError) as error:
            return WarmUpOutcome(accepted=False, error=error)

    async def invalidate(
        self,
        addresses: Sequence[str],
        *,
        chain_id: int | None = None,
        block_height: int | None = None,
        transaction_id: str | None = None,
    ) -> Invalidated:
        """Declare balances wrong: when this returns, no read calls the old ones fresh.

        Tried again until `invalidate_seconds`; then it raises, and must be sent again. Give the
        block height (it needs a chain id) whenever it is known.
        """
        body = _given(
            addresses=list(addresses),
            chainId=chain_id,
            blockHeight=block_height,
            transactionId=transaction_id,
        )
        return await self._accepted("/internal/cache/invalidate", body)

    async def transaction_confirmed(self, transaction: Mapping[str, object]) -> Invalidated:
        """Tell of a confirmed transaction; every vault that it touches is invalidated.

        Args:
            transaction: Bako's transaction object as it is, or ``chainId``, ``blockHeight``,
                ``transactionId``, ``predicateAddress``, ``addresses``, ``operations``.
        """
        return await self._accepted("/internal/events/transaction", transaction)

    async def get_dashboard(self, **query: object) -> dict[str, Any]:
        """Return all that a home page shows, in one call; `query` as documented."""
        return await self._read("/user/dashboard", query)

    async def get_reserved_coins(self, predicate_id: str, **query: object) -> dict[str, Any]:
        """Return what one vault holds and what is reserved of it; `query` as documented."""
        return await self._read(f"/predicate/reserved-coins/{quote(predicate_id, safe='')}", query)

    async def get_allocation(
        self, predicate_id: str | None = None, **query: object
    ) -> dict[str, Any]:
        """Return how the money of a user, or of one vault, is spread; `query` as documented."""
        if predicate_id is None:
            return await self._read("/user/allocation", query)
        return await self._read(f"/predicate/{quote(predicate_id, safe='')}/allocation", query)

    def stream_balances(
        self, last_event_id: str | None = None
    ) -> AsyncGenerator[BalanceEvent, None]:
        """Follow a user's balances: first what is known, then each change. Needs a session.

        Connects again by itself and goes on where it was. Ends when the session ends; raises
        `RefusedError` when the service refuses.
        """
        return follow(self._http, last_event_id, connect_seconds=self._read_seconds)

    async def _accepted(self, path: str, body: Mapping[str, object]) -> Invalidated:
        call = Call("POST", path, self._invalidate_seconds, body=body)
        data = (await insist(self._http, call)).get("data")
        if not isinstance(data, dict) or not isinstance(data.get("invalidatedCount"), int):
            raise MalformedAnswerError(f"{path} was answered without a count")
        return Invalidated(count=data["invalidatedCount"], task_id=data.get("taskId"))

    async def _read(self, path: str, query: Mapping[str, object]) -> dict[str, Any]:
        answer: dict[str, Any] = await ask(
            self._http, Call("GET", path, self._read_seconds, query=query)
        )
        return answer


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
