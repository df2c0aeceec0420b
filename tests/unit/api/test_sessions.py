from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.problems import ProblemError
from api.sessions import Authentication, Caller
from cache.sessions import Look
from domain.errors import CacheUnavailableError, RegistryUnavailableError
from registry.records import StoredSession

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
SESSION = {
    "user_id": "u",
    "address": "0xabc",
    "expired_at": LATER,
    "network": {"url": "https://n", "chainId": 0},
}


@dataclass
class Cached:
    session: Mapping[str, Any] | None = None
    is_down: bool = False

    async def look(self, token: str) -> Look:  # noqa: ARG002 - the protocol's
        if self.is_down:
            raise CacheUnavailableError("gone")
        return Look(self.session, b"", b"7")

    async def get_many(self, tokens: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        found = {token: (await self.look(token)).session for token in tokens}
        return {token: session for token, session in found.items() if session is not None}


@dataclass
class Stored:
    found: StoredSession | None = None
    is_down: bool = False

    async def session(self, token: str) -> StoredSession | None:  # noqa: ARG002 - the protocol's
        if self.is_down:
            raise RegistryUnavailableError("gone")
        return self.found


async def test_chain_id_zero_is_a_chain() -> None:
    caller = await Authentication(Cached(SESSION), Stored()).caller("t", "0xabc")
    assert caller == Caller("u", "0xabc", 0, "https://n")


async def test_a_session_that_redis_has_and_is_over_is_not_looked_for_elsewhere() -> None:
    fine = StoredSession("u", "0xabc", 0, "", datetime.now(UTC).replace(tzinfo=None) + timedelta(1))
    authentication = Authentication(Cached(SESSION | {"expired_at": "2020-01-01"}), Stored(fine))
    with pytest.raises(ProblemError) as caught:
        await authentication.caller("t", "0xabc")
    assert caught.value.status == 401


async def test_while_redis_is_away_the_table_vouches() -> None:
    fine = StoredSession("u", "0xabc", 0, "", datetime.now(UTC).replace(tzinfo=None) + timedelta(1))
    caller = await Authentication(Cached(is_down=True), Stored(fine)).caller("t", "0xabc")
    assert caller.user_id == "u"


async def test_when_nobody_can_vouch_nobody_is_let_in() -> None:
    with pytest.raises(RegistryUnavailableError):
        await Authentication(Cached(is_down=True), Stored(is_down=True)).caller("t", "0xabc")


@pytest.mark.parametrize(
    "stored",
    [
        StoredSession("u", "0xabc", 0, "", None),
        StoredSession("u", "0xabc", None, "", datetime(2999, 1, 1)),  # noqa: DTZ001 - as stored
        StoredSession("u", "0xother", 0, "", datetime(2999, 1, 1)),  # noqa: DTZ001 - as stored
    ],
)
async def test_a_row_that_says_too_little_is_no_session(stored: StoredSession) -> None:
    with pytest.raises(ProblemError) as caught:
        await Authentication(Cached(), Stored(stored)).caller("t", "0xabc")
    assert caught.value.status == 401


@pytest.mark.parametrize("token", ["", None, "a\nb", "ü", "x" * 4_097])
async def test_a_token_that_cannot_be_one_is_never_looked_up(token: str | None) -> None:
    looked_up = Authentication(Cached(is_down=True), Stored(is_down=True))
    with pytest.raises(ProblemError) as caught:
        await looked_up.caller(token, "0xabc")
    assert caught.value.status == 401
