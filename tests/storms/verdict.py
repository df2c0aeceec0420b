"""What must be true after a kill storm: waited for, then looked at."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from cache.warm_ups import Shelf
from config.settings import Settings
from domain.errors import CacheUnavailableError
from domain.values import Fresh
from tasks.journal import ACCEPTED
from tasks.later import waiting_queues
from tasks.names import Queue
from tasks.settings import celery_configuration
from tests.storms.world import CHAIN_ID, Storm

SETTLE_SECONDS = 90.0
END_SECONDS = 30.0


async def _settled(storm: Storm) -> list[str]:
    """Wait until nothing is left to do; return what is still wrong at the deadline."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        storm.keep_alive()
        problems = await _problems(storm)
        if not problems or time.monotonic() > deadline:
            return problems
        await asyncio.sleep(0.3)


async def _problems(storm: Storm) -> list[str]:
    """Return what is not yet as it must be in the end."""
    done = {
        str(entry.get("transaction_id"))
        for program in storm.programs
        for entry in program.logged("invalidation.done")
    }
    missing = sorted(storm.ledger.accepted - done)
    found = [f"{len(missing)} accepted invalidations have not happened: {missing}"] * bool(missing)
    vaults = list(storm.ledger.amounts)
    try:
        answers = await storm.runtime.cache.read(CHAIN_ID, vaults)
        held = await storm.runtime.cache._leases.remaining_ms(CHAIN_ID, vaults)
        waiting = [
            await storm.runtime.warm_ups.waiting(Shelf(CHAIN_ID, later, 200))
            for later in (False, True)
        ]
        letters = await storm.runtime.dead_letters.listed()
    except CacheUnavailableError as error:
        return [*found, str(error)]
    stale = [a for a, answer in answers.items() if not _right(answer, storm.ledger.amounts[a])]
    fresh = sum(isinstance(answers[a], Fresh) for a in stale)
    if fresh:
        found.append(f"{fresh} vaults are served as fresh and wrong")
    leases = sum(left > 0 for left in held.values())
    counts = {"leases": leases, "warm-ups": sum(waiting), "dead letters": len(letters)}
    counts |= await asyncio.to_thread(_messages, storm.settings)
    return [*found, *(f"{count} {what} are left" for what, count in counts.items() if count)]


def _told_of(storm: Storm) -> list[str]:
    """Return what the logs tell of messages that were given up, and where it came from."""
    kept = [entry for p in storm.programs for entry in p.logged("task.dead_letter")]
    return [
        f"given up: {entry.get('task')}: {entry.get('reason')}\n{entry.get('exception', '')}"
        for entry in kept
    ]


def _right(answer: Any, amount: int) -> bool:
    if not isinstance(answer, Fresh):
        return False
    return [balance.amount for balance in answer.stored.snapshot.balances] == [amount]


def _messages(settings: Settings) -> dict[str, int]:
    """Return how many messages are in each place where the broker may have some."""
    app = Celery("storm-census", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    names = [queue.value for queue in Queue]
    if settings.celery_broker_url.startswith("amqp"):
        names += [put_off.name for queue in Queue for put_off in waiting_queues(queue)]
    counts: dict[str, int] = {}
    with app.connection_for_read() as connection:
        for name in names:
            channel: Any = connection.channel()  # what it can do is the transport's
            try:
                declared = channel.queue_declare(name, passive=True)
            except connection.channel_errors:
                continue  # no such queue: nothing was ever delayed for so long in this lane
            counts[f"messages in {name}"] = declared.message_count
            if channel.connection is not None:
                channel.close()
        if not settings.celery_broker_url.startswith("amqp"):
            channel = connection.default_channel
            counts["messages in a worker's hands"] = int(channel.client.hlen("unacked"))
            counts["messages in the journal"] = int(channel.client.hlen(ACCEPTED))
    app.close()
    return counts


async def verdict(storm: Storm) -> list[str]:
    """Wait, then read every vault; return what is wrong."""
    # With beat, because it looks for lost messages; without it the lanes must stay empty.
    problems = await _settled(storm)
    storm.programs.pop(2).end(END_SECONDS)
    problems += await _settled(storm) if not problems else []
    problems += _told_of(storm)
    vaults = list(storm.ledger.amounts)
    served = await storm.runtime.reader(CHAIN_ID).read_many(vaults, wait_seconds=10)
    wrong = [a for a in vaults if not _right(served[a].answer, storm.ledger.amounts[a])]
    if wrong:
        problems.append(f"{len(wrong)} vaults are wrong, for example {wrong[0]}")
    for program in storm.programs:
        if not program.end(END_SECONDS):
            problems.append(f"the worker {program.name} did not end when asked to")
    try:
        left = await asyncio.to_thread(_messages, storm.settings)
    except (OperationalError, OSError) as error:
        return [*problems, f"the broker does not answer: {error}"]
    came_back = "came back when the workers ended"
    return [*problems, *(f"{n} {what} {came_back}" for what, n in left.items() if n)]
