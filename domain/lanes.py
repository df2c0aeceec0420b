"""What waits in the lanes of the broker, as a protocol: the API shows it without knowing Celery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane at one moment. None: the broker cannot tell.

    Attributes:
        lane: its queue's name.
        ready: messages that wait for a worker, priority sub-queues included.
        unacked: messages that a worker holds: worked on, or waiting for their retry.
        oldest_seconds: the age of the message that has waited longest; 0 in an empty lane, None
            also where its publisher stamped no time on it.
        delayed: messages that wait at the broker for their retry (RabbitMQ; on Redis a worker
            holds them, so that they are among the unacked).
        consumers: workers that take from it.
    """

    lane: str
    ready: int
    unacked: int | None = None
    oldest_seconds: float | None = None
    delayed: int | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker at one moment.

    Attributes:
        lanes: all lanes, the most urgent first.
        memory_used: bytes; None: it is no Redis.
        memory_most: bytes that it may use, 0: no limit; None: it is no Redis.
    """

    lanes: Sequence[LaneState]
    memory_used: int | None = None
    memory_most: int | None = None


class LaneWatch(Protocol):
    """Looks at the broker."""

    async def broker_state(self) -> BrokerState:
        """Return what waits now.

        Raises:
            BrokerUnavailableError: the broker does not answer in time.
        """
        ...
