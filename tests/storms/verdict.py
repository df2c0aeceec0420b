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
from tasks.later import waiting_queue
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
    counts["messages"] = await asyncio.to_thread(_messages, storm.settings)
    return [*found, *(f"{count} {what} are left" for what, count in counts.items() if count)]


def _told_of(storm: Storm) -> list[str]:
    """Return what the logs tell of messages that were given up, and of those that are missing."""
    kept = [entry for p in storm.programs for entry in p.logged("task.dead_letter")]
    return [f"given up: {entry.get('task')}: {entry.get('reason')}" for entry in kept]


def _right(answer: Any, amount: int) -> bool:
    if not isinstance(answer, Fresh):
        return False
    return [balance.amount for balance in answer.stored.snapshot.balances] == [amount]


def _messages(settings: Settings) -> int:
    """Return how many messages are in the lanes; of the lane of warm-ups and refreshes, too."""
    app = Celery("storm-census", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    names = [queue.value for queue in Queue]
    if settings.celery_broker_url.startswith("amqp"):
        names += [waiting_queue(queue).name for queue in Queue]
    count = 0
    with app.connection_for_read() as connection:
        for name in names:
            channel: Any = connection.channel()  # what it can do is the transport's
            try:
                count += channel.queue_declare(name, passive=True).message_count
            except connection.channel_errors:
                continue  # no such queue: nothing was ever delayed in this lane
            if channel.connection is not None:
                channel.close()
        if not settings.celery_broker_url.startswith("amqp"):
            channel = connection.default_channel
            count += int(channel.client.hlen("unacked")) + int(channel.client.hlen(ACCEPTED))
    app.close()
    return count


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
    if left:
        problems.append(f"{left} messages came back when the workers ended")
    return problems
