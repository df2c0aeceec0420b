"""kombu's Redis transport, which takes and acknowledges messages in one step instead of three each.

kombu takes a message off its lane (BRPOP), notes it as unacknowledged (a transaction) and
acknowledges it after its work (another one). Here one script acknowledges what is done, takes as
many messages as the worker has place for and notes them (docs/decisions/0083). kombu's own way
remains for a lane that is empty: only BRPOP waits.

kombu makes a client whenever it takes, acknowledges or publishes a message; making one costs
redis-py more than the command itself. Here a channel keeps its own. The client is a thin shell
around the channel's pool of connections, which is what threads share in either case.

It also calls a closed channel what it is. kombu closes the channel of a connection that broke, and
a publish that is tried again meets it as an attribute of None, for which nobody connects anew.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu import transport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from tasks.redis_taking import KOMBU, TAKE, Poller, QoS


class Channel(KOMBU.Channel):  # type: ignore[misc]
    """Keeps its blocking client as long as its pool lives, and takes what is there in one step.

    Raises (from whatever needs a client, or the exchanges):
        amqp.exceptions.RecoverableConnectionError: the channel was closed.
    """

    QoS = QoS

    _kept: Any = None
    _there_may_be_more = False
    """Something came last time: the next question need not wait for an answer."""

    _is_taking = False
    """The question that is under way is the script, not a BRPOP."""

    _every_message_is_acknowledged = True

    @property
    def gathers_acks(self) -> bool:
        """An event loop turns, at whose next turn what is gathered goes out."""
        return bool(self.connection is not None and self.connection.has_loop)

    def _create_client(self, asynchronous: bool = False) -> Any:
        self._refuse_if_closed()
        if asynchronous:  # such a client has a connection of its own
            return super()._create_client(asynchronous=True)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept

    @property
    def state(self) -> Any:
        """The broker's exchanges and bindings, as kombu knows them."""
        self._refuse_if_closed()
        return super().state

    def _refuse_if_closed(self) -> None:
        if self.connection is None:
            raise RecoverableConnectionError("the channel was closed")

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Consume; what is not to be acknowledged must not be noted as unacknowledged."""
        if no_ack and queue not in self._fanout_queues:
            self._every_message_is_acknowledged = False
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        place = self.qos.can_consume_max_estimate()  # None: as many as there are
        queues = self._queue_cycle.consume(len(self.active_queues))
        takes = self._there_may_be_more and self._every_message_is_acknowledged
        self._is_taking = bool(takes and place and queues)
        if not self._is_taking:
            super()._brpop_start(timeout)
            return
        lanes = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        keys = [self.unacked_key, self.unacked_index_key, *lanes]
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = time.monotonic()
        done = self.qos.acknowledge_along()
        connection.send_command("EVAL", TAKE, len(keys), *keys, time.time(), place, *done)

    def _brpop_read(self, **options: Any) -> bool:
        if not self._is_taking:
            self._there_may_be_more = False
            super()._brpop_read(**options)
            self._there_may_be_more = True
            return True
        taken = self._read_taken()
        self._there_may_be_more = bool(taken)
        if not taken:
            raise Empty
        self._deliver_all(taken)
        return True

    def _deliver_all(self, taken: list[tuple[bytes, bytes, bytes]]) -> None:
        for place, (lane, text, tag) in enumerate(taken, 1):
            queue = bytes_to_str(lane).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            if tag:
                self.qos.is_noted(bytes_to_str(tag))
            try:
                self.connection._deliver(loads(bytes_to_str(text)), queue)  # noqa: SLF001
            except Exception:  # unreadable; kombu's loop ends by it, but the others came too
                self._deliver_all(taken[place:])
                raise

    def _read_taken(self) -> list[tuple[bytes, bytes, bytes]]:
        connection = self.client.connection
        try:
            found: list[tuple[bytes, bytes, bytes]] = self.client.parse_response(connection, "EVAL")
        except self.connection_errors:
            connection.disconnect()  # so that the next turn connects anew
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self.qos.acknowledged_along()
        return found


class Transport(KOMBU.Transport):  # type: ignore[misc]
    """What ``redis://`` and ``rediss://`` name in this process from now on."""

    Channel = Channel
    has_loop = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Gather acknowledgements from now on."""
        super().register_with_event_loop(connection, loop)
        self.has_loop = True


_NAME = f"{__name__}:{Transport.__name__}"
transport.TRANSPORT_ALIASES.update(redis=_NAME, rediss=_NAME)
