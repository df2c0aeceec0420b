"""Transactions that are confirmed in the middle of a login storm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.common import refuse, until
from benchmarks.storm_stage import Stage
from devnet.options import BASE_ASSET_ID
from domain.values import Address, Fresh, ReadAnswer, Snapshot
from tasks.names import INVALIDATE, Queue

_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Payment:
    """A confirmed transaction: until it was right in the cache, and one call to the node then."""

    seconds: float
    node_call_seconds: float


async def pay_now_and_then(
    stage: Stage, pairs: Sequence[tuple[Address, Address]]
) -> Sequence[Payment]:
    """Let each pair pay, however long the payments before take; vaults hold 1,000 each."""
    payments = []
    for sender, receiver in pairs:
        await asyncio.sleep(_PAUSE_SECONDS)
        payments.append(asyncio.create_task(_pay(stage, sender, receiver)))
    return await asyncio.gather(*payments)


async def _pay(stage: Stage, sender: Address, receiver: Address) -> Payment:
    confirmed = await stage.node.transfer(sender, receiver, BASE_ASSET_ID, 400)
    begun = time.monotonic()
    await stage.publisher.send(
        INVALIDATE,
        [[sender, receiver], 9889, confirmed.block_height, confirmed.transaction_id],
        queue=Queue.INVALIDATION,
    )
    # From here on the worker asks the node: a call of ours beside its own meets the same queue.
    await _until_each(stage, [sender, receiver], lambda answer: not isinstance(answer, Fresh))
    asking = asyncio.create_task(_ask_directly(stage, [sender, receiver]))
    await _until_each(
        stage,
        [sender, receiver],
        lambda answer: (
            isinstance(answer, Fresh) and answer.stored.snapshot.height >= confirmed.block_height
        ),
    )
    payment = Payment(round(time.monotonic() - begun, 3), await asking)
    await _check(stage, {sender: 600, receiver: 1400})
    return payment


async def _ask_directly(stage: Stage, addresses: Sequence[Address]) -> float:
    begun = time.monotonic()
    answers = await stage.direct.fetch_many(addresses)
    if not all(isinstance(answer, Snapshot) for answer in answers.values()):
        refuse("the node did not answer")
    return round(time.monotonic() - begun, 3)


async def _check(stage: Stage, amounts: dict[Address, int]) -> None:
    for address, answer in (await stage.runtime.cache.read(9889, list(amounts))).items():
        held = answer.stored.snapshot.balances if isinstance(answer, Fresh) else ()
        if [balance.amount for balance in held] != [amounts[address]]:
            refuse(f"{address} is wrong after its transaction")


async def _until_each(
    stage: Stage, addresses: Sequence[Address], holds: Callable[[ReadAnswer], bool]
) -> None:
    async def each_holds() -> bool:
        return all(map(holds, (await stage.runtime.cache.read(9889, addresses)).values()))

    await until(each_holds, seconds=60, pause_seconds=_LOOK_SECONDS)
