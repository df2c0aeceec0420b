"""Messages are taken, noted and acknowledged in one step on a Redis broker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from kombu.asynchronous import Hub
from redis import Redis

from supervisor.valkey import EmbeddedServer
from tasks.redis_transport import Channel

_DEADLINE_SECONDS = 10.0


def _lane(name: str) -> Queue:
    return Queue(name, Exchange(name), routing_key=name)


_URGENT, _OTHER = _lane("test_taking.urgent"), _lane("test_taking.other")


class _Worker:
    """A consumer whose loop turns only when the test says so."""

    def __init__(self, connection: Any, *, place: int) -> None:
        self.channel: Any = connection.channel()
        self.held: list[Any] = []
        self._hub = Hub()
        connection.transport.register_with_event_loop(connection.connection, self._hub)
        self._consumer = Consumer(
            self.channel, [_URGENT, _OTHER], on_message=self.held.append, accept=["json"]
        )
        self._consumer.qos(prefetch_count=place)
        self._consumer.consume()
        self._loop = self._hub.create_loop()

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until it holds."""
        end = time.monotonic() + _DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < end, f"held {self.bodies()}"
            self._hub.call_soon(lambda: None)  # a turn must not wait for a message
            next(self._loop)

    def turn_until_held(self, number: int) -> None:
        """Turn the loop until it has been given so many."""
        self.turn_until(lambda: len(self.held) >= number)

    def bodies(self) -> list[object]:
        """What it holds."""
        return [message.payload for message in self.held]

    def close(self) -> None:
        """End without giving anything back but what was not acknowledged."""
        self.channel.close()
        self._hub.close()


@contextmanager
def _worker(url: str, *, place: int) -> Iterator[_Worker]:
    with Connection(url, transport_options={"queue_order_strategy": "priority"}) as connection:
        connection.connect()
        worker = _Worker(connection, place=place)
        try:
            yield worker
        finally:
            worker.close()


@pytest.fixture
def broker(cache_server: EmbeddedServer) -> Iterator[Redis]:
    client = Redis.from_url(cache_server.url(6))
    names = (_URGENT.name, _OTHER.name, "unacked", "unacked_index")
    client.delete(*names)
    yield client
    client.delete(*names)
    client.close()


@pytest.fixture
def url(cache_server: EmbeddedServer) -> str:
    return cache_server.url(6)


def _publish(url: str, queue: Queue, *bodies: object) -> None:
    with Connection(url) as connection:
        producer = connection.Producer()
        for body in bodies:
            producer.publish(
                body,
                serializer="json",
                exchange=queue.exchange,
                routing_key=queue.routing_key,
                declare=[queue],
            )


def _noted(broker: Redis) -> set[Any]:
    tags: set[Any] = set(broker.hkeys("unacked"))
    assert tags == set(broker.zrange("unacked_index", 0, -1)), "hash and index differ"
    return tags


def test_as_many_as_have_place_are_held_and_noted_and_no_more(url: str, broker: Redis) -> None:
    _publish(url, _OTHER, *range(7))
    with _worker(url, place=3) as worker:
        worker.turn_until(lambda: len(worker.held) == 3)
        for _ in range(5):
            worker.turn_until(lambda: len(worker.held) == 3)

        assert worker.bodies() == [0, 1, 2], "first in, first out"
        assert _noted(broker) == {message.delivery_tag.encode() for message in worker.held}
        assert broker.llen(_OTHER.name) == 4

    assert broker.llen(_OTHER.name) == 7, "what was not acknowledged was given back"
    assert not _noted(broker)


def test_acknowledged_messages_go_and_the_next_come(url: str, broker: Redis) -> None:
    _publish(url, _OTHER, *range(7))
    with _worker(url, place=3) as worker:
        for done in range(7):
            worker.turn_until_held(done + 1)
            worker.held[done].ack()
        worker.turn_until(lambda: not _noted(broker))

        assert worker.bodies() == list(range(7))
    assert broker.llen(_OTHER.name) == 0


def test_the_first_lane_comes_first(url: str, broker: Redis) -> None:
    _publish(url, _OTHER, "first to come")
    with _worker(url, place=1) as worker:
        worker.turn_until(lambda: len(worker.held) == 1)
        _publish(url, _OTHER, "warm")
        _publish(url, _URGENT, "urgent")
        for done in range(2):
            worker.held[done].ack()
            worker.turn_until_held(done + 2)

        assert worker.bodies() == ["first to come", "urgent", "warm"]


def test_what_is_taken_and_never_read_is_noted(url: str, broker: Redis) -> None:
    """As by a worker that is killed in this moment; kombu's BRPOP loses it."""
    _publish(url, _OTHER, 1, 2)
    with _worker(url, place=2) as worker:
        channel = worker.channel
        assert type(channel) is Channel
        channel._there_may_be_more = True
        channel.connection.cycle.on_poll_start()  # asks, and nobody reads the answer
        end = time.monotonic() + _DEADLINE_SECONDS
        while broker.llen(_OTHER.name):
            assert time.monotonic() < end

        entries = [json.loads(entry) for entry in broker.hvals("unacked")]

        assert not worker.held
        assert len(_noted(broker)) == 2
        assert {(exchange, key) for _, exchange, key in entries} == {
            (_OTHER.exchange.name, _OTHER.routing_key)
        }
        # Such an entry is what kombu itself brings back.
        for tag in _noted(broker):
            channel.qos.restore_by_tag(tag.decode())
        assert broker.llen(_OTHER.name) == 2


@pytest.mark.parametrize("text", ["not JSON at all", '{"properties": {}}', "[]"])
def test_what_cannot_be_read_costs_the_messages_beside_it_nothing(
    url: str, broker: Redis, text: str
) -> None:
    _publish(url, _OTHER, "before")
    with _worker(url, place=3) as worker:
        worker.turn_until(lambda: len(worker.held) == 1)
        worker.channel._there_may_be_more = True
        _publish(url, _OTHER, "beside")
        broker.rpush(_OTHER.name, text)  # the end from which is taken
        with pytest.raises((ValueError, TypeError, KeyError)):  # as of kombu's own transport
            worker.turn_until(lambda: len(worker.held) == 3)

        assert worker.bodies() == ["before", "beside"]


def test_an_acknowledgement_that_went_along_with_a_refused_question_goes_again(
    url: str, broker: Redis
) -> None:
    _publish(url, _OTHER, 1)
    with _worker(url, place=1) as worker:
        worker.turn_until(lambda: len(worker.held) == 1)
        broker.set(_URGENT.name, "no list")  # the script is refused at its first lane
        broker.rename("unacked_index", "aside")
        broker.set("unacked_index", "no sorted set")
        worker.held[0].ack()
        for _ in range(3):
            worker.turn_until(lambda: True)
        assert broker.hlen("unacked") == 1
        broker.delete(_URGENT.name)
        broker.rename("aside", "unacked_index")

        worker.turn_until(lambda: not _noted(broker))


def test_whoever_acknowledges_without_a_loop_does_so_at_once(url: str, broker: Redis) -> None:
    with Connection(url) as connection:
        queue = connection.SimpleQueue(_OTHER.name)
        queue.put({"number": 1})
        message = queue.get(timeout=5)
        assert len(_noted(broker)) == 1

        message.ack()

        assert not _noted(broker)
        queue.close()


def test_what_needs_no_acknowledgement_is_not_noted(url: str, broker: Redis) -> None:
    with Connection(url) as connection:
        queue = connection.SimpleQueue(_OTHER.name, no_ack=True)
        queue.consumer.qos(prefetch_count=5)
        for number in range(3):
            queue.put({"number": number})

        taken = [queue.get(timeout=5).payload for _ in range(3)]

        assert taken == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert not _noted(broker)
        queue.close()
