"""The subscriptions: what becomes of transactions, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from graphql import GraphQLError

from devnet.node import Info, ReadView
from devnet.scalars import bytes32, hex_string
from devnet.submission import submit_raw
from devnet.transactions import PRECONFIRMATIONS, Status

_POLL_SECONDS = 0.005


async def watch_status_change(
    _source: object, info: Info, *, wanted: object, include_preconfirmation: object = None
) -> AsyncIterator[Status]:
    """Serve `statusChange`: the present status and what follows, until it is final.

    A transaction that nobody knows is waited for without end, as on the real node.
    """
    transaction_id = bytes32("TransactionId", wanted)
    return _statuses(info.context, transaction_id, preconfirmed=bool(include_preconfirmation))


async def watch_submit_and_await(
    _source: object, info: Info, *, tx: object, estimate_predicates: object = None
) -> AsyncIterator[Status]:
    """Serve `submitAndAwait`: the final status alone."""
    del estimate_predicates
    view: ReadView = info.context
    transaction = submit_raw(view.chain, hex_string(tx))
    statuses = _statuses(view, transaction.transaction_id, preconfirmed=False)
    return _final(statuses)


async def watch_submit_and_await_status(
    _source: object,
    info: Info,
    *,
    tx: object,
    estimate_predicates: object = None,
    include_preconfirmation: object = None,
) -> AsyncIterator[Status]:
    """Serve `submitAndAwaitStatus`: submitted, perhaps preconfirmed, and the final status."""
    del estimate_predicates
    view: ReadView = info.context
    transaction = submit_raw(view.chain, hex_string(tx))
    return _statuses(view, transaction.transaction_id, preconfirmed=bool(include_preconfirmation))


async def watch_preconfirmations(_source: object, info: Info) -> AsyncIterator[Status]:
    """Serve `alpha__preconfirmations`: those of all transactions."""
    _check_expensive(info.context)
    return _preconfirmations(info.context)


async def watch_new_blocks(_source: object, info: Info) -> AsyncIterator[str]:
    """Refuse `alpha__new_blocks`: its bytes are the node's own, bound to its version."""
    _check_expensive(info.context)
    raise GraphQLError("the devnet does not encode blocks in the node's internal format")


def _check_expensive(view: ReadView) -> None:
    if not view.node.options.expensive_subscriptions:
        raise GraphQLError("`--expensive-subscriptions` is required for this operation")


async def _statuses(
    view: ReadView, transaction_id: str, *, preconfirmed: bool
) -> AsyncIterator[Status]:
    """Yield the newest visible status and all that follow it."""
    shown = -1
    while True:
        view.renew()
        known = [
            (number, status)
            for number, status in enumerate(view.chain.statuses.of(transaction_id))
            if _is_visible(status, view)
        ]
        following = known[-1:] if shown < 0 else [entry for entry in known if entry[0] > shown]
        for number, status in following:
            shown = number
            if preconfirmed or status.kind not in PRECONFIRMATIONS:
                yield status
            if status.is_final:
                return
        await asyncio.sleep(_POLL_SECONDS)


def _is_visible(status: Status, view: ReadView) -> bool:
    """Tell whether the node has it: a final status comes after the index of balances."""
    return not status.is_final or (status.block_height or 0) <= view.off_chain_height


async def _final(statuses: AsyncIterator[Status]) -> AsyncIterator[Status]:
    async for status in statuses:
        if status.is_final:
            yield status


async def _preconfirmations(view: ReadView) -> AsyncIterator[Status]:
    shown = len(view.chain.statuses.preconfirmations)
    while True:
        view.renew()
        for status in view.chain.statuses.preconfirmations[shown:]:
            shown += 1
            yield status
        await asyncio.sleep(_POLL_SECONDS)
