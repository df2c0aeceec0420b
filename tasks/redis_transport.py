"""kombu's Redis transport with one client for a channel instead of one for each command.

kombu makes a client whenever it takes, acknowledges or publishes a message; making one costs
redis-py more than the command itself. The client is a thin shell around the channel's pool of
connections, which is what threads share in either case.

It also calls a closed channel what it is. kombu closes the channel of a connection that broke, and
a publish that is tried again meets it as an attribute of None, for which nobody connects anew.
"""

from __future__ import annotations

from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu import transport
from kombu.transport import redis


class Channel(redis.Channel):
    """Keeps its blocking client as long as its pool lives.

    Raises (from whatever needs a client, or the exchanges):
        amqp.exceptions.RecoverableConnectionError: the channel was closed.
    """

    _kept: Any = None

    # kombu's types do not tell of the method that makes a client.
    def _create_client(self, asynchronous: bool = False) -> Any:
        self._refuse_if_closed()
        if asynchronous:  # such a client has a connection of its own
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept

    @property
    def state(self) -> Any:
        """The broker's exchanges and bindings, as kombu knows them."""
        self._refuse_if_closed()
        return super().state

    def _refuse_if_closed(self) -> None:
        if self.connection is None:
            raise RecoverableConnectionError("the channel was closed")


class Transport(redis.Transport):
    """What ``redis://`` and ``rediss://`` name in this process from now on."""

    Channel = Channel


_NAME = f"{__name__}:{Transport.__name__}"
transport.TRANSPORT_ALIASES.update(redis=_NAME, rediss=_NAME)
