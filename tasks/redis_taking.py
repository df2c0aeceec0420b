"""How messages are taken from a Redis broker and acknowledged together; see `redis_transport`."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

from kombu.transport import redis, virtual

KOMBU: Any = redis
"""Its types tell of few of the methods that are there to be overridden."""

TAKE = """
-- Acknowledges messages, takes others off their lanes and notes them as unacknowledged.
--
-- KEYS  1 unacked (hash: tag -> message)  2 its index (sorted set: tag -> taken at)
--       then the lanes (lists), the most urgent first
-- ARGV  1 now, in seconds  2 most messages  then the tags that are acknowledged
-- Returns {lane, message, tag} for each; the tag is '' for what tells none and is not noted.
--
-- One script, because a message that is off its lane and not noted is lost with whoever took it.

for i = 3, #ARGV do
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[1], ARGV[i])
end

local function told(message)
  local properties = cjson.decode(message).properties
  local tag, info = properties.delivery_tag, properties.delivery_info
  assert(type(tag) == 'string' and type(info.exchange) == 'string'
    and type(info.routing_key) == 'string')
  return tag, '[' .. message .. ',' .. cjson.encode(info.exchange) .. ','
    .. cjson.encode(info.routing_key) .. ']'
end

local taken, most = {}, tonumber(ARGV[2])
for i = 3, #KEYS do
  while #taken < most do
    local message = redis.call('RPOP', KEYS[i])
    if not message then break end
    local is_readable, tag, entry = pcall(told, message)
    if is_readable then
      redis.call('HSET', KEYS[1], tag, entry)
      redis.call('ZADD', KEYS[2], ARGV[1], tag)
    end
    taken[#taken + 1] = {KEYS[i], message, is_readable and tag or ''}
  end
end
return taken
"""


class QoS(KOMBU.QoS):  # type: ignore[misc]
    """Gathers acknowledgements while an event loop turns; they go out at its next turn.

    Whoever is killed before has his message delivered again, as if he had not come to its end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: deque[str] = deque()
        self._under_way: list[str] = []
        self._noted: set[str] = set()

    def is_noted(self, delivery_tag: str) -> None:
        """Say that the broker has noted a message that will be appended now."""
        self._noted.add(delivery_tag)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message as unacknowledged, unless that was done when it was taken."""
        if delivery_tag in self._noted:
            self._noted.discard(delivery_tag)
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message: at once, or with others."""
        if self.channel.gathers_acks:
            self._done.append(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def acknowledge_along(self) -> list[str]:
        """Return what is to be acknowledged; what was returned and not confirmed is in it again."""
        self._under_way += self._gathered()
        return self._under_way

    def acknowledged_along(self) -> None:
        """Say that the broker has acknowledged what was returned."""
        self._under_way = []

    def settle(self) -> None:
        """Acknowledge what is gathered."""
        tags = self._gathered()
        if not tags:
            return
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()
        except BaseException:
            self._done.extend(tags)
            raise

    def _gathered(self) -> list[str]:
        return [self._done.popleft() for _ in range(len(self._done))]

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Acknowledge what is done, give the others back: the channel is closed."""
        self._done.extend(self._under_way)
        self._under_way = []
        with suppress(*self.channel.connection_errors):
            self.settle()
        super().restore_unacked_once(stderr)


class Poller(KOMBU.MultiChannelPoller):  # type: ignore[misc]
    """At each turn of the loop sends acknowledgements that no taking has taken along."""

    def on_poll_start(self) -> None:
        """Ask for messages, then acknowledge what was not told with that."""
        super().on_poll_start()
        for channel in self._channels:
            channel.qos.settle()
