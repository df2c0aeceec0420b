"""Whose predicates there are, remembered for a moment.

A page that is looked at again and again must not ask the database each time. What is remembered
is used only while nothing speaks against it:

- it is younger than `REGISTRY_CACHE_SECONDS`;
- the registry's version, which every change that we are told of replaces in Redis, is the one
  that was read before the database was asked (`cache.registry_version`);
- none of its vaults was published since: a transaction that was confirmed changes what is pending
  together with the balance, and the two must not be taken from different moments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from api.sessions import Caller, ServiceCaller
from registry.records import PredicateRecord
from registry.store import Registry

_MOST = 4_096
_NEAR_MS = 100
"""Ages come from two clocks that agree to within this."""

AnyCaller = Caller | ServiceCaller
_Key = tuple[str, ...]
_Query = Callable[[], Awaitable[Sequence[PredicateRecord]]]


@dataclass(frozen=True, slots=True)
class Registered:
    """What the database told.

    Attributes:
        records: the predicates.
        asked_at: when, by this process's clock.
        version: the registry's version before that; None: nobody could tell, so that it must
            not be remembered.
        remembered: it was told to an earlier request.
    """

    records: Sequence[PredicateRecord]
    asked_at: float
    version: bytes | None
    remembered: bool = False

    def is_older_than(self, age_ms: int) -> bool:
        """Tell whether something of this age may have come after it."""
        return age_ms <= (time.monotonic() - self.asked_at) * 1000 + _NEAR_MS


class RegisteredPredicates:
    """Asks the registry for a caller. Callers who ask the same at the same time ask once.

    Args:
        registry: the database.
        seconds: how long an answer is remembered; 0: not at all.
    """

    def __init__(self, registry: Registry, seconds: float) -> None:
        self._registry = registry
        self._seconds = seconds
        self._remembered: dict[_Key, Registered] = {}
        self._asked: dict[tuple[_Key, bytes | None], asyncio.Task[Registered]] = {}

    async def of_user(self, user_id: str, caller: AnyCaller, *, anew: bool = False) -> Registered:
        """Return all predicates of a user.

        Raises:
            UnknownUserError: there is no such user.
            RegistryUnavailableError: the database does not answer.
        """
        return await self._get(
            ("user", user_id), caller, anew, lambda: self._registry.predicates_of_user(user_id)
        )

    async def one(self, predicate_id: str, caller: AnyCaller, *, anew: bool = False) -> Registered:
        """Return one predicate, if this caller may see it.

        Raises:
            UnknownPredicateError: there is none, or it is somebody else's.
            RegistryUnavailableError: the database does not answer.
        """

        async def query() -> Sequence[PredicateRecord]:
            if isinstance(caller, ServiceCaller):
                return [await self._registry.predicate(predicate_id)]
            record = await self._registry.predicate_of_user(
                predicate_id, caller.user_id, caller.user_address
            )
            return [record]

        who = () if isinstance(caller, ServiceCaller) else (caller.user_id, caller.user_address)
        return await self._get(("predicate", predicate_id, *who), caller, anew, query)

    async def _get(self, key: _Key, caller: AnyCaller, anew: bool, query: _Query) -> Registered:
        version = caller.registry_version
        found = self._remembered.get(key)
        if anew or version is None or not self._seconds:
            return await self._ask(key, version, query)
        if found is not None and self._is_good(found, version):
            return found
        task = self._asked.get((key, version))
        if task is None:
            task = asyncio.ensure_future(self._ask(key, version, query))
            self._asked[key, version] = task
            task.add_done_callback(lambda task: self._ended((key, version), task))
        return await asyncio.shield(task)  # whoever goes away does not take it from the others

    def _ended(self, key: tuple[_Key, bytes | None], task: asyncio.Task[Registered]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()  # told to all who waited; perhaps nobody does any more

    def _is_good(self, found: Registered, version: bytes | None) -> bool:
        is_young = time.monotonic() - found.asked_at < self._seconds
        return is_young and version is not None and found.version == version

    async def _ask(self, key: _Key, version: bytes | None, query: _Query) -> Registered:
        asked_at = time.monotonic()
        records = await query()
        if version is not None and self._seconds > 0:
            if key not in self._remembered and len(self._remembered) >= _MOST:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = Registered(records, asked_at, version, remembered=True)
        return Registered(records, asked_at, version)
