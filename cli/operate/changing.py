"""``warm``, ``invalidate``, ``clear``: what an operator does to vaults, and waiting for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from cli.operate.opened import PUBLISH_SECONDS, chains
from cli.output import progress
from domain.errors import InvalidValueError, PublishingError
from domain.events import Note, VaultEventKind, invalidated
from domain.values import Address, BlockHeight, ChainId, Fresh
from runtime.assembly import Runtime
from tasks.names import (
    CLEAR_ALL,
    INVALIDATE_ALL,
    REFILL,
    WARM_PREDICATES,
    WARM_USER,
    WARMUP_EXPIRES_SECONDS,
    Queue,
)
from tasks.publisher import open_publisher

_AUTHOR = "an operator, balance-cache"
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an order.

    Attributes:
        vaults: how many vaults it was about; None: all, the workers count them.
        chain_ids: on which chains.
        tasks: the ids of the tasks that the workers were given.
        keys: snapshots that went; None: it was not about that.
        fresh: vaults that are fresh now, over all chains; None: nobody waited for it.
        trouble: what did not work; empty: nothing.
    """

    vaults: int | None
    chain_ids: Sequence[ChainId]
    tasks: Sequence[str] = ()
    keys: int | None = None
    fresh: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which vaults, and whether somebody waits for them.

    Attributes:
        vaults: the addresses.
        chain_id: the chain; None: every configured one.
        wait_seconds: how long to wait until they are fresh; 0: not at all.
        quiet: show no progress.
    """

    vaults: Sequence[Address] = field(default_factory=tuple)
    chain_id: ChainId | None = None
    wait_seconds: float = 0.0
    quiet: bool = False


async def warm(runtime: Runtime, wish: Wish, user_id: str | None) -> Done:
    """Have vaults, or all of a user's, fetched through the warm-up lane.

    Raises:
        InvalidValueError: neither vaults nor a user, or both.
        UnknownUserError: there is no such user.
        UnknownNetworkError: the chain is not configured.
        PublishingError: the broker took nothing.
    """
    if (user_id is None) == (not wish.vaults):
        raise InvalidValueError("give addresses, or --user with a user's id")
    meant = chains(runtime.settings, wish.chain_id)
    vaults: Sequence[Address] = wish.vaults
    orders: list[tuple[str, list[object]]]
    if user_id is None:
        orders = [(WARM_PREDICATES, [list(vaults), each, False]) for each in meant]
    else:
        vaults = list(await runtime.registry.addresses_of_user(user_id))
        orders = [(WARM_USER, [user_id, wish.chain_id])]
    tasks = await _send(runtime, orders, Queue.WARMUP, WARMUP_EXPIRES_SECONDS)
    fresh = await _wait_fresh(runtime, vaults, meant, wish)
    return Done(len(vaults), meant, tasks, fresh=fresh)


async def invalidate(runtime: Runtime, wish: Wish, height: BlockHeight | None) -> Done:
    """Declare vaults wrong at once, and have them fetched through the invalidation lane.

    Raises:
        InvalidValueError: a height without a chain.
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: Redis does not answer; nothing was done.
    """
    meant = chains(runtime.settings, wish.chain_id)
    if height is not None and wish.chain_id is None:
        raise InvalidValueError("--height needs --chain: each chain counts its own blocks")
    await runtime.cache.invalidate(wish.vaults, wish.chain_id, height)
    for each in meant:
        await runtime.vault_log.note(
            each, invalidated(wish.vaults, f"{_AUTHOR} invalidate", height)
        )
    return await _refilled(runtime, wish, meant, height)


async def clear(runtime: Runtime, wish: Wish, *, refill: bool) -> Done:
    """Forget the snapshots of vaults, fresh and last known, and have them fetched anew.

    Raises:
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: Redis does not answer; nothing was done.
    """
    meant = chains(runtime.settings, wish.chain_id)
    keys = await runtime.clear(wish.vaults, wish.chain_id)
    note = Note(VaultEventKind.CLEARED, f"{_AUTHOR} clear")
    for each in meant:
        await runtime.vault_log.note(each, dict.fromkeys(wish.vaults, note))
    if not refill:
        return Done(len(wish.vaults), meant, keys=keys)
    return await _refilled(runtime, wish, meant, None, keys)


async def everything(runtime: Runtime, task: str, chain_id: ChainId | None) -> Done:
    """Have the workers walk through all that is kept, in bounded steps.

    Raises:
        UnknownNetworkError: the chain is not configured.
        PublishingError: the broker took nothing.
    """
    meant = chains(runtime.settings, chain_id)
    tasks = await _send(runtime, [(task, [chain_id])], Queue.INVALIDATION, None)
    return Done(None, meant, tasks)


ALL_TASKS = {"invalidate": INVALIDATE_ALL, "clear": CLEAR_ALL}


async def _refilled(
    runtime: Runtime,
    wish: Wish,
    meant: Sequence[ChainId],
    height: BlockHeight | None,
    keys: int | None = None,
) -> Done:
    """Order the refills; without the broker the next reader fetches, and that is said."""
    vaults = len(wish.vaults)
    orders: list[tuple[str, list[object]]] = [
        (REFILL, [list(wish.vaults), each, height]) for each in meant
    ]
    try:
        tasks = await _send(runtime, orders, Queue.INVALIDATION, None)
    except PublishingError as error:
        trouble = f"no refill was ordered ({error}); the next reader has them fetched"
        return Done(vaults, meant, keys=keys, trouble=trouble)
    fresh = await _wait_fresh(runtime, wish.vaults, meant, wish)
    return Done(vaults, meant, tasks, keys=keys, fresh=fresh)


async def _send(
    runtime: Runtime,
    orders: Sequence[tuple[str, list[object]]],
    queue: Queue,
    expires: float | None,
) -> list[str]:
    async with open_publisher(runtime.settings, seconds=PUBLISH_SECONDS) as publisher:
        return [
            await publisher.send(name, arguments, queue=queue.value, expires=expires)
            for name, arguments in orders
        ]


async def _wait_fresh(
    runtime: Runtime, vaults: Sequence[Address], meant: Sequence[ChainId], wish: Wish
) -> int | None:
    """Wait until all are fresh or the time is over; return how many are."""
    if not wish.wait_seconds:
        return None
    ends_at = time.monotonic() + wish.wait_seconds
    total = len(vaults) * len(meant)
    with progress("fresh", total, quiet=wish.quiet) as tell:
        while True:
            fresh = 0
            for each in meant:
                answers = await runtime.cache.read(each, vaults, counted=False)
                fresh += sum(isinstance(answer, Fresh) for answer in answers.values())
            tell(fresh)
            if fresh == total or time.monotonic() >= ends_at:
                return fresh
            await asyncio.sleep(_LOOK_SECONDS)
