"""Which of RabbitMQ's queues a delayed message waits in."""

from __future__ import annotations

import pytest

from tasks.declare import MAX_RETRY_SECONDS
from tasks.later import DELAY_STEPS_SECONDS, waiting_queue, waiting_queues
from tasks.names import Queue


@pytest.mark.parametrize(
    ("delay_seconds", "name"),
    [
        (0.2, "warmup.later.1"),
        (1.0, "warmup.later.1"),
        (1.1, "warmup.later.2"),
        (MAX_RETRY_SECONDS, "warmup.later.16"),
        (600.0, "warmup.later.64"),
    ],
)
def test_delays_of_one_size_share_a_queue(delay_seconds: float, name: str) -> None:
    assert waiting_queue(Queue.WARMUP, delay_seconds).name == name


def test_every_queue_for_waiting_empties_into_its_lane_and_loses_nothing_on_the_way() -> None:
    for lane in Queue:
        queues = waiting_queues(lane)
        arguments = [queue.queue_arguments or {} for queue in queues]

        assert len({queue.name for queue in queues}) == len(DELAY_STEPS_SECONDS)
        assert {each["x-dead-letter-routing-key"] for each in arguments} == {lane.value}
        assert {each["x-dead-letter-strategy"] for each in arguments} == {"at-least-once"}
        assert {each["x-queue-type"] for each in arguments} == {"quorum"}
