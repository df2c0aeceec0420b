"""What an operator orders for all predicates: walked in bounded steps, one message after the other.

A step looks at some thousands of keys and then publishes the next one, so that confirmed
transactions, which share the lane, are never behind a walk of the whole key space.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from domain.errors import InvalidValueError
from domain.events import Note, VaultEventKind
from domain.values import Address, ChainId
from tasks import operations
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import CLEAR_ALL, INVALIDATE_ALL, Queue
from tasks.parts import Parts

_PAGES_PER_STEP = 10
_HIGHEST_PLACE = 2**64 - 1

Act = Callable[[Sequence[Address], ChainId], Awaitable[object]]
_log = structlog.get_logger("tasks")


@declare_task(
    INVALIDATE_ALL,
    queue=Queue.INVALIDATION,
    deadline_seconds=20,
    expires_seconds=None,
    retries=None,
)
async def invalidate_all(
    parts: Parts, chain_id: int | None = None, place: int = 0
) -> Sequence[Follow]:
    """Declare all balances wrong that were kept when the walk began; `place` is where it goes on.

    No node is asked: hot predicates are due by it, the others are fetched when they are read.
    Recorded with `ENABLE_BALANCE_CACHE=false` too, as every invalidation is.
    """
    kind = VaultEventKind.INVALIDATED
    return await _walk(parts, INVALIDATE_ALL, kind, chain_id, place)


@declare_task(
    CLEAR_ALL,
    queue=Queue.INVALIDATION,
    deadline_seconds=20,
    expires_seconds=None,
    retries=None,
)
async def clear_all(parts: Parts, chain_id: int | None = None, place: int = 0) -> Sequence[Follow]:
    """Forget all balances that were kept when the walk began, the last known too."""
    kind = VaultEventKind.CLEARED
    return await _walk(parts, CLEAR_ALL, kind, chain_id, place)


async def _walk(
    parts: Parts, task: str, kind: VaultEventKind, chain_id: int | None, place: int
) -> Sequence[Follow]:
    if chain_id is None:
        chains = parts.settings.chain_ids
        return [Follow(task, (each,), Queue.INVALIDATION) for each in chains]
    watched = parts.followed(operations.parse_chain_id(chain_id)).watched
    place = _parse_place(place)
    act: Act = parts.clear if kind is VaultEventKind.CLEARED else parts.cache.invalidate
    met: set[Address] = set()
    for _ in range(_PAGES_PER_STEP):
        place, page = await watched.with_traces(chain_id, place)
        # A predicate has several keys: within a step it is acted on once.
        news = [address for address in page if address not in met]
        await act(news, chain_id)
        await parts.vault_log.note(chain_id, dict.fromkeys(news, Note(kind, f"task {task}")))
        met.update(page)
        if place == 0:
            break
    _log.info("everything.step", task=task, chain_id=chain_id, predicates=len(met), place=place)
    return [] if place == 0 else [Follow(task, (chain_id, place), Queue.INVALIDATION)]


def _parse_place(raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= _HIGHEST_PLACE:
        raise InvalidValueError("place must be a whole number that a former step has given")
    return raw
