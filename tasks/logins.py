"""Publishing the warm-ups of logins: those that come together share a message.

A message costs a worker and whoever publishes it milliseconds; planning one more user costs far
less. A login that comes alone goes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from domain.together import Together
from domain.values import ChainId
from tasks.names import (
    LOGINS_OF_A_MESSAGE,
    WARM_USER,
    WARM_USERS,
    WARMUP_EXPIRES_SECONDS,
    Queue,
)

_Login: TypeAlias = tuple[str, ChainId | None]


class _Send(Protocol):
    async def __call__(
        self, name: str, args: Sequence[object], *, queue: str, expires: float | None
    ) -> str: ...


class Logins:
    """Gathers the logins that come while others are being published.

    A message that several share names the request of one of them.
    """

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._together = Together(self._publish, most=LOGINS_OF_A_MESSAGE)

    async def warm(self, user_id: str, chain_id: ChainId | None) -> str:
        """Publish the warm-up of a user; return the id of the task that does it.

        Raises:
            PublishingError: the broker did not confirm it in time.
        """
        [task_id] = await self._together.ask([(user_id, chain_id)])
        return task_id

    async def _publish(self, logins: Sequence[_Login]) -> Sequence[str]:
        users: dict[ChainId | None, list[str]] = {}
        for user_id, chain_id in logins:
            users.setdefault(chain_id, []).append(user_id)
        sent = {chain_id: await self._message(some, chain_id) for chain_id, some in users.items()}
        return [sent[chain_id] for _, chain_id in logins]

    async def _message(self, user_ids: list[str], chain_id: ChainId | None) -> str:
        name, users = (WARM_USERS, user_ids) if len(user_ids) > 1 else (WARM_USER, user_ids[0])
        return await self._send(
            name, [users, chain_id], queue=Queue.WARMUP.value, expires=WARMUP_EXPIRES_SECONDS
        )
