"""What waits in the lanes, on either broker (`domain.lanes.LaneWatch`)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from celery import Celery

from config.settings import Settings
from domain.errors import BrokerUnavailableError
from domain.lanes import BrokerState, LaneState
from tasks.headers import age_seconds
from tasks.later import waiting_queues
from tasks.names import Queue
from tasks.settings import celery_configuration, is_rabbitmq
from tasks.unanswered import UNANSWERED

_SECONDS = 3.0
_MOST_HELD = 500
"""Held messages that are looked at to tell their lanes; of more, the rest counts by their parts."""

_Result = TypeVar("_Result")


def open_lanes(settings: Settings) -> BrokerLanes:
    """Return a watch on the broker of these settings; connects at its first look."""
    app = Celery("balance-cache-lanes", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    return BrokerLanes(app)


class BrokerLanes:
    """Looks at the broker over a connection of its own: it works while a worker's is stuck."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lanes")

    async def broker_state(self) -> BrokerState:
        """Return what waits now (see `domain.lanes.LaneWatch`).

        Raises:
            BrokerUnavailableError: the broker does not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_SECONDS):
                return await loop.run_in_executor(self._thread, self.look)
        except TimeoutError:
            raise BrokerUnavailableError(f"no answer within {_SECONDS:g} s") from None

    def look(self) -> BrokerState:
        """Do the same, blocking.

        Raises:
            BrokerUnavailableError: the broker does not answer.
        """
        find = _on_rabbitmq if is_rabbitmq(self._app.conf.broker_url) else _on_redis
        try:
            return self._with_connection(find)
        except UNANSWERED as error:
            raise BrokerUnavailableError(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._app.close()

    def _with_connection(self, work: Callable[[Any], _Result]) -> _Result:
        with self._app.producer_or_acquire() as producer:
            connection = producer.connection

            def run() -> _Result:
                return work(connection)

            result: _Result = connection.ensure(
                producer, run, max_retries=1, interval_start=0, interval_step=0, interval_max=0
            )()
            return result


def _on_redis(connection: Any) -> BrokerState:
    channel = connection.default_channel
    queues = {
        lane.value: [channel._q_for_pri(lane.value, step) for step in channel.priority_steps]  # noqa: SLF001 - kombu has no public name for the priority sub-queues
        for lane in Queue
    }
    pipe = channel.client.pipeline(transaction=False)
    for names in queues.values():
        for name in names:
            pipe.llen(name)
            pipe.lindex(name, -1)  # the end from which workers take
    pipe.hlen(channel.unacked_key)
    pipe.info("memory")
    *found, held, memory = pipe.execute()
    lengths, oldest = found[::2], found[1::2]
    by_lane = _held(channel, held)
    states, at = [], 0
    for lane, names in queues.items():
        place = slice(at, at + len(names))
        at += len(names)
        ready = sum(lengths[place])
        states.append(
            LaneState(
                lane=lane,
                ready=ready,
                unacked=by_lane.get(lane, 0),
                oldest_seconds=_oldest(oldest[place]) if ready else 0.0,
            )
        )
    return BrokerState(states, memory.get("used_memory"), memory.get("maxmemory"))


def _oldest(messages: Sequence[bytes | None]) -> float | None:
    ages = [age_seconds(_headers(message)) for message in messages if message is not None]
    return max((age for age in ages if age is not None), default=None)


def _headers(message: bytes) -> Any:
    try:
        return json.loads(message).get("headers")
    except (ValueError, AttributeError):
        return None


def _held(channel: Any, count: int) -> Mapping[str, int]:
    """Return how many held messages there are of each lane."""
    seen: Counter[str] = Counter()
    looked, cursor = 0, 0
    while count and looked < _MOST_HELD:
        cursor, page = channel.client.hscan(channel.unacked_key, cursor, count=100)
        for entry in page.values():
            looked += 1
            seen[_lane_of_held(entry)] += 1
        if cursor == 0:
            return seen
    return {lane: round(number * count / looked) for lane, number in seen.items()}


def _lane_of_held(entry: bytes) -> str:
    try:
        return str(json.loads(entry)[2])
    except (ValueError, LookupError, TypeError):
        return ""


def _on_rabbitmq(connection: Any) -> BrokerState:
    states = []
    for lane in Queue:
        ready, consumers = _declared(connection, lane.value)
        delayed = sum(_declared(connection, put_off.name)[0] for put_off in waiting_queues(lane))
        states.append(LaneState(lane.value, ready, delayed=delayed, consumers=consumers))
    return BrokerState(states)


def _declared(connection: Any, name: str) -> tuple[int, int]:
    """Return the messages and consumers of a queue; none where nobody has declared it yet."""
    channel = connection.channel()
    try:
        answer = channel.queue_declare(queue=name, passive=True)
    except connection.channel_errors:
        return 0, 0
    else:
        channel.close()
        return answer.message_count, answer.consumer_count
