"""Writing behind: what was published goes to the database in batches. Knows no Celery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from cache.changes import PORTION, START, Change, ChangeKind, ChangeStream
from cache.keeper import Keeper, KeeperState
from cache.watched import WatchedPredicates
from domain.ports import BalanceCache
from domain.values import Address, ChainId, Missing, StoredSnapshot
from registry.snapshots import DurableSnapshots

MOST_PORTIONS = 20
"""So many portions of changes are kept in one run; the next run goes on."""

WALK_PAGES = 10
"""So many pages of a walk through everything are kept in one run."""

RESTORED_READS = 20_000
"""Hot vaults that are warmed again after a loss: those that were read last."""

_log = structlog.get_logger("tasks")


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a run works with."""

    cache: BalanceCache
    changes: ChangeStream
    keeper: Keeper
    watched: WatchedPredicates
    durable: DurableSnapshots
    chain_ids: Sequence[ChainId]
    hot_life_seconds: float


@dataclass(frozen=True, slots=True)
class KeptReport:
    """What a run did: vaults looked at, news among them, hot ones brought back after a loss."""

    written: int
    news: int
    brought_back: int


async def keep(parts: Keeping) -> KeptReport:
    """Write what was published since the last run, and who was read.

    Whoever is killed midway leaves work that is done again: writing the same twice does no harm.

    Raises:
        CacheUnavailableError: Redis does not answer.
        RegistryUnavailableError: the database does not take it; the next run begins where this one
            did.
    """
    now_ms = await parts.keeper.now_ms()
    state = await parts.keeper.load()
    brought_back = 0
    if state is None:
        brought_back = await _bring_back(parts, now_ms)
        # Whatever was published before anybody kept anything is met by a walk.
        state = KeeperState(START, now_ms, dict.fromkeys(parts.chain_ids, 0))
    position, touched, has_gap = await _published_since(parts.changes, state.position)
    walks = dict(state.walks)
    if has_gap:
        walks |= dict.fromkeys(set(parts.chain_ids) - set(walks), 0)
    await _walk_on(parts, walks, touched)
    written, news = 0, 0
    for chain_id, addresses in touched.items():
        stored = await _stored(parts.cache, chain_id, addresses)
        news += await parts.durable.write(chain_id, stored)
        written += len(stored)
    for chain_id in parts.chain_ids:
        read = await parts.keeper.read_since(chain_id, state.looked_at_ms, RESTORED_READS)
        await parts.durable.note_reads(chain_id, read)
    await parts.keeper.save(KeeperState(position, now_ms, walks))
    return KeptReport(written, news, brought_back)


async def _bring_back(parts: Keeping, now_ms: int) -> int:
    """Let those be hot again who were before the loss, so that refreshes warm them first.

    Who was read last is marked first: of many that are due the most overdue goes first.
    """
    since_ms = now_ms - int(parts.hot_life_seconds * 1000)
    count = 0
    for chain_id in parts.chain_ids:
        hot = await parts.durable.lately_read(chain_id, since_ms, RESTORED_READS)
        for at in range(0, len(hot), PORTION):
            await parts.cache.mark_read(chain_id, hot[at : at + PORTION])
        count += len(hot)
    if count:
        _log.warning("keep.brought_back", hot_vaults=count)
    return count


async def _published_since(
    changes: ChangeStream, position: str
) -> tuple[str, dict[ChainId, set[Address]], bool]:
    """Return where the stream was left, who was published, and whether changes were missed.

    Where there is no stream (hash tags) all are, always: then everything is walked through.
    """
    extent = await changes.extent()
    touched: defaultdict[ChainId, set[Address]] = defaultdict(set)
    if extent.last is None:
        return position, touched, True
    has_gap = position != START and extent.first is not None and _is_before(position, extent.first)
    for _ in range(MOST_PORTIONS):
        if not _is_before(position, extent.last):
            break
        found = await changes.read(position)
        if not found:
            break
        position = found[-1].position
        _collect(found, touched)
    if has_gap:
        _log.warning("keep.gap", position=position)
    return position, touched, has_gap


def _collect(found: Sequence[Change], touched: Mapping[ChainId, set[Address]]) -> None:
    for change in found:
        if change.kind is ChangeKind.PUBLISHED:
            touched[change.chain_id].add(change.address)


async def _walk_on(
    parts: Keeping, walks: dict[ChainId, int], touched: Mapping[ChainId, set[Address]]
) -> None:
    """Meet some pages of everything; a walk that has come to its end is taken out."""
    for chain_id, place in list(walks.items()):
        at = place
        for _ in range(WALK_PAGES):
            at, page = await parts.watched.with_value(chain_id, at)
            touched[chain_id].update(page)
            if at == 0:
                break
        if at == 0:
            del walks[chain_id]
        else:
            walks[chain_id] = at


async def _stored(
    cache: BalanceCache, chain_id: ChainId, addresses: Collection[Address]
) -> Sequence[StoredSnapshot]:
    """Return what is known of each, fresh or last known; what foreign writers left is not kept.

    A foreign writer names no height, and where it would stand in a history nobody can say.
    """
    stored: list[StoredSnapshot] = []
    wanted = list(addresses)
    for at in range(0, len(wanted), PORTION):
        answers = await cache.read(chain_id, wanted[at : at + PORTION], counted=False)
        stored += [
            answer.stored
            for answer in answers.values()
            if not isinstance(answer, Missing) and not answer.stored.foreign
        ]
    return stored


def _is_before(one: str, other: str) -> bool:
    return _parts(one) < _parts(other)


def _parts(position: str) -> tuple[int, int]:
    milliseconds, _, sequence = position.partition("-")
    return int(milliseconds), int(sequence or 0)
