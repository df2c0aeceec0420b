"""What the internal routes do: act on the cache at once, and leave the fetching to the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from api.context import Parts
from api.internal.bodies import InvalidateBody, TransactionEvent, WarmUpBody
from api.problems import ProblemError, unavailable
from domain.errors import (
    CacheUnavailableError,
    InvalidAddressError,
    PublishingError,
    RegistryUnavailableError,
)
from domain.events import Note, VaultEventKind, invalidated
from domain.networks import without_credentials
from domain.ports import TaskPublisher
from domain.values import Address, BlockHeight, ChainId, parse_address

INVALIDATE_TASK = "balances.invalidate"
REFILL_TASK = "balances.refill"
INVALIDATE_ALL_TASK = "balances.invalidate_all"
CLEAR_ALL_TASK = "balances.clear_all"
INVALIDATION_QUEUE = "invalidation"

_MOST_AT_ONCE = 1_000
"""Predicates that are invalidated within a request; more are left to the workers, in portions."""

_PORTION = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What a caller declares wrong."""

    addresses: Sequence[Address]
    chain_id: ChainId | None = None
    block_height: BlockHeight | None = None
    transaction_id: str | None = None


async def invalidate(parts: Parts, wanted: Invalidation) -> str | None:
    """Invalidate now and have the balances fetched again; return the task's id.

    Either half alone keeps the promise. Without the broker the next read fetches (the id is
    None then); without Redis the task does both, as soon as Redis is back. More than a thousand
    predicates are invalidated by the workers.

    Raises:
        UnknownNetworkError: the chain is not configured; nothing was done.
        CacheUnavailableError: neither half was accepted; the caller must come again.
        PublishingError: too many to be done here, and not all were accepted; come again.
    """
    if wanted.chain_id is not None:
        parts.runtime.settings.network(wanted.chain_id)
    if not wanted.addresses:
        return None
    if len(wanted.addresses) > _MOST_AT_ONCE:
        return await _publish_portions(parts, wanted)
    try:
        await parts.runtime.cache.invalidate(wanted.addresses, wanted.chain_id, wanted.block_height)
    except CacheUnavailableError:
        task_id = await _publish_invalidation(parts, wanted)
        if task_id is None:
            raise
        return task_id
    await _tell(parts, wanted)
    return await _publish_refills(parts, wanted)


async def _tell(parts: Parts, wanted: Invalidation) -> None:
    """Tell operators who declared what wrong."""
    runtime = parts.runtime
    by = f"transaction {wanted.transaction_id}" if wanted.transaction_id else "the internal API"
    chains = runtime.settings.chain_ids if wanted.chain_id is None else (wanted.chain_id,)
    for chain_id in chains:
        notes = invalidated(wanted.addresses, by, wanted.block_height)
        await runtime.vault_log.note(chain_id, notes)


async def clear(parts: Parts, address: Address, chain_id: ChainId | None) -> int:
    """Forget a predicate's snapshots; return how many keys went."""
    runtime = parts.runtime
    cleared = await runtime.clear([address], chain_id)
    note = Note(VaultEventKind.CLEARED, "the internal API")
    for each in runtime.settings.chain_ids if chain_id is None else (chain_id,):
        await runtime.vault_log.note(each, {address: note})
    return cleared


async def for_all(parts: Parts, task: str, chain_id: ChainId | None) -> str:
    """Have the workers do something for all predicates; return the task's id.

    Raises:
        UnknownNetworkError: the chain is not configured.
        PublishingError: the broker did not accept the task; nothing was done.
    """
    if chain_id is not None:
        parts.runtime.settings.network(chain_id)
    return await _enqueue(parts, task, [chain_id])


async def warm_up(parts: Parts, body: WarmUpBody) -> tuple[int, str]:
    """Have a user's predicates warmed; return how many he has, and the task's id.

    Raises:
        UnknownUserError: there is no such user.
        UnknownNetworkError: the chain is not configured.
        ProblemError: 422, the URL is of no configured network.
        PublishingError: the broker did not accept the task.
    """
    chain_id = _warm_up_chain(parts, body)
    addresses = await parts.runtime.registry.addresses_of_user(body.user_id)
    return len(addresses), await _publisher(parts).warm_user(body.user_id, chain_id)


async def named_addresses(parts: Parts, body: InvalidateBody) -> Sequence[Address] | None:
    """Return the predicates that a body means; None: all that there are.

    Raises:
        ProblemError: 422, it names none, or in more than one way.
        InvalidAddressError: one is in no valid form; nothing was done.
        UnknownUserError: there is no such user.
    """
    ways = {
        "predicateAddress": body.predicate_address,
        "addresses": body.addresses,
        "userId": body.user_id,
        "workspaceId": body.workspace_id,
        "all": body.all or None,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        raise ProblemError(422, "Invalid request", f"Give exactly one of {', '.join(ways)}.")
    registry = parts.runtime.registry
    if body.user_id is not None:
        return await registry.every_address_of_user(body.user_id)
    if body.workspace_id is not None:
        return await registry.addresses_of_workspace(body.workspace_id)
    if body.all:
        return None
    texts = body.addresses if body.addresses is not None else [body.predicate_address or ""]
    return list(dict.fromkeys(parse_address(text) for text in texts))


async def touched_vaults(
    parts: Parts, event: TransactionEvent
) -> tuple[Sequence[Address], Sequence[str]]:
    """Return the vaults that a transaction touches, and the texts in it that are no addresses.

    What the sender names is taken as it is. The sides of operations are wallets and contracts
    too, so they are cut down to predicates that we know. If the database cannot tell which,
    all are taken: rather one invalidation too many than one too few.

    Raises:
        InvalidAddressError: a named predicate is in no valid form; nothing was done.
    """
    named = [parse_address(text) for text in event.named()]
    candidates, ignored = [], []
    for text in event.touched():
        try:
            candidates.append(parse_address(text))
        except InvalidAddressError:
            ignored.append(text)
    try:
        known = await parts.runtime.registry.known_addresses(candidates)
    except RegistryUnavailableError:
        _log.warning("event_not_pruned", candidates=len(candidates))
        known = candidates
    return list(dict.fromkeys([*named, *known])), list(dict.fromkeys(ignored))


def _warm_up_chain(parts: Parts, body: WarmUpBody) -> ChainId | None:
    settings = parts.runtime.settings
    if body.chain_id is not None:
        return settings.network(body.chain_id).chain_id
    if body.network_url is None:
        return None
    asked = without_credentials(body.network_url).rstrip("/")
    for network in settings.fuel_networks:
        if asked in {without_credentials(url).rstrip("/") for url in network.urls}:
            return network.chain_id
    raise ProblemError(422, "Unknown network", "networkUrl is not on the allow-list.")


async def _publish_invalidation(parts: Parts, wanted: Invalidation) -> str | None:
    return await _send(parts, INVALIDATE_TASK, _arguments(wanted))


def _arguments(wanted: Invalidation) -> list[object]:
    return [
        list(wanted.addresses),
        wanted.chain_id,
        wanted.block_height,
        wanted.transaction_id,
    ]


async def _publish_portions(parts: Parts, wanted: Invalidation) -> str:
    # One after the other: the publisher has few threads and refuses what would have to queue.
    sent = [
        await _enqueue(
            parts,
            INVALIDATE_TASK,
            _arguments(replace(wanted, addresses=wanted.addresses[start : start + _PORTION])),
        )
        for start in range(0, len(wanted.addresses), _PORTION)
    ]
    return sent[0]


async def _publish_refills(parts: Parts, wanted: Invalidation) -> str | None:
    settings = parts.runtime.settings
    if not settings.enable_balance_cache:
        return None
    chain_ids = settings.chain_ids if wanted.chain_id is None else (wanted.chain_id,)
    sent = await asyncio.gather(
        *(
            _send(parts, REFILL_TASK, [list(wanted.addresses), chain_id, wanted.block_height])
            for chain_id in chain_ids
        )
    )
    return next((task_id for task_id in sent if task_id is not None), None)


async def _enqueue(parts: Parts, name: str, arguments: Sequence[object]) -> str:
    return await _publisher(parts).send(name, arguments, queue=INVALIDATION_QUEUE)


def _publisher(parts: Parts) -> TaskPublisher:
    if parts.publisher is None:
        raise unavailable("This process can hand out no tasks.")
    return parts.publisher


async def _send(parts: Parts, name: str, arguments: Sequence[object]) -> str | None:
    if parts.publisher is None:
        return None
    try:
        return await parts.publisher.send(name, arguments, queue=INVALIDATION_QUEUE)
    except PublishingError as error:
        _log.warning("task_not_published", task=name, why=str(error))
        return None
