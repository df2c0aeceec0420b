"""The transport that ``redis://`` names: one client for a channel, as long as its pool lives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue

from supervisor.valkey import EmbeddedServer
from tasks.redis_transport import Transport

_WHICH = """
import tasks.publisher
from kombu import Connection
for scheme in ("redis", "rediss"):
    with Connection(f"{scheme}://127.0.0.1:1/0") as connection:
        print(type(connection.transport).__module__, connection.transport_cls)
"""


def test_whoever_publishes_or_consumes_speaks_to_a_redis_broker_by_it() -> None:
    """Under its own name: Flower and the logs know the broker by that."""
    told = subprocess.run(
        [sys.executable, "-c", _WHICH], capture_output=True, text=True, check=True
    )

    assert told.stdout.splitlines() == [
        "tasks.redis_transport redis",
        "tasks.redis_transport rediss",
    ]


def test_a_channel_makes_one_client_and_another_one_for_another_pool(
    cache_server: EmbeddedServer,
) -> None:
    with Connection(cache_server.url(5)) as connection:
        channel: Any = connection.default_channel  # kombu's types know no Redis channel
        assert isinstance(connection.transport, Transport)
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()
        assert channel.client is not channel.subclient, "those have connections of their own"


def test_what_is_published_over_it_is_taken_and_acknowledged(cache_server: EmbeddedServer) -> None:
    with Connection(cache_server.url(5)) as connection:
        queue = connection.SimpleQueue("test_tasks_redis_transport")
        for number in range(3):
            queue.put({"number": number})
        taken = [queue.get(timeout=5) for _ in range(3)]
        for message in taken:
            message.ack()
        channel: Any = queue.channel  # kombu's types know no Redis channel
        with channel.conn_or_acquire() as client:
            assert client.exists(channel.unacked_key, channel.unacked_index_key) == 0
        queue.close()

    assert [message.payload for message in taken] == [{"number": number} for number in range(3)]


@pytest.mark.parametrize("exchange", ["", "test_tasks_redis_transport"])
def test_a_publish_on_a_channel_that_was_closed_goes_through_on_a_new_one(
    cache_server: EmbeddedServer, exchange: str
) -> None:
    """As a retry meets it after a broker restart: it became a dead letter of work that was done."""
    name = "test_tasks_redis_transport.closed"
    with Connection(cache_server.url(5)) as connection, Connection(cache_server.url(5)) as other:
        lane = Queue(name, Exchange(exchange), routing_key=name)
        queue = other.SimpleQueue(lane)  # type: ignore[arg-type]  # it takes both
        producer = connection.Producer()
        producer.channel.close()  # type: ignore[union-attr]  # it makes a channel when asked

        producer.publish({"number": 7}, exchange=exchange, routing_key=name, retry=True)

        message = queue.get(timeout=5)
        message.ack()
        assert message.payload == {"number": 7}
        queue.close()
