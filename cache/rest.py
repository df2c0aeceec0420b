"""A Redis that takes commands and never answers rests: its commands fail at once.

A closed port says no at once. A server that hangs, or a network that swallows packets, lets each
command wait for its whole timeout, and a read has several of them: its time would be over before
the node is asked. So one timeout speaks for all (see docs/decisions/0034).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.errors import CacheUnavailableError

REST_SECONDS = 1.0
"""After so long one command tries the server again, and waits for one timeout at most."""

_SILENCES = (RedisTimeoutError, TimeoutError, MasterNotFoundError)
"""What is raised after waiting in vain; Sentinels that hang leave no primary to be found."""


class Told(Protocol):
    """Wants to know whether the server rests."""

    def __call__(self, *, is_resting: bool) -> None:
        """Take note; must be cheap and must not raise."""
        ...


_log = structlog.get_logger(__name__)


class Rest:
    """Knows whether a server is worth asking; one for all who share a client.

    It begins when a command waited in vain and nothing was answered since that command was sent:
    a single slow command, or a single dead link, does not stop the others. It ends with the next
    answer, whoever gets it.

    Attributes:
        told: is called when a rest begins and when it is over.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.told: Told = _nobody
        self._clock = clock
        self._answered_at = float("-inf")
        self._until: float | None = None
        self._is_tried = False

    @property
    def has_begun(self) -> bool:
        """True until the server has answered again."""
        return self._until is not None

    def asking(self) -> Asking:
        """Return what surrounds one question to the server."""
        return Asking(self)

    def begin_question(self) -> tuple[float, bool]:
        """Return when a question is sent, and whether it is the one that tries the server.

        Raises:
            CacheUnavailableError: the server rests, or somebody is trying it.
        """
        now = self._clock()
        if self._until is None:
            return now, False
        if self._is_tried or now < self._until:
            raise CacheUnavailableError("Redis does not answer: it rests after a timeout")
        self._is_tried = True
        return now, True

    def answered(self) -> None:
        """Note that the server answers."""
        self._answered_at = self._clock()
        if self._until is not None:
            self._until = None
            _log.warning("redis_answers_again")
            self.told(is_resting=False)

    def silent(self, sent_at: float) -> None:
        """Note that a question was not answered in its time."""
        if sent_at < self._answered_at:
            return
        has_begun, self._until = self.has_begun, self._clock() + REST_SECONDS
        if not has_begun:
            _log.warning("redis_rests", seconds=REST_SECONDS)
            self.told(is_resting=True)

    def end_trial(self) -> None:
        """Let the next one try the server, when it is time."""
        self._is_tried = False


class Asking:
    """Surrounds one question. Without a generator: it is on the read path.

    Entering raises `CacheUnavailableError` while the server rests, and tells whether this question
    is the one that tries the server.
    """

    __slots__ = ("_is_trial", "_rest", "_sent_at")

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def __enter__(self) -> bool:
        self._sent_at, self._is_trial = self._rest.begin_question()
        return self._is_trial

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_trial:
            self._rest.end_trial()
        if error is None or isinstance(error, ResponseError):
            self._rest.answered()
        elif isinstance(error, _SILENCES):
            self._rest.silent(self._sent_at)
        # Whoever was cancelled, or found the port closed, has learnt nothing of it.


class NodeRests:
    """The rests of a cluster's nodes: whoever asks one that is silent is refused, others go on.

    Args:
        whole: who is told when the first node begins to rest, and when none does any more.
    """

    def __init__(self, whole: Rest) -> None:
        self._whole = whole
        self._rests: dict[str, Rest] = {}
        self._is_resting = False

    def asking(self, node: str) -> Asking:
        """Return what surrounds one question to a node."""
        rest = self._rests.get(node)
        if rest is None:
            rest = self._rests[node] = Rest()
            rest.told = self._tell
        return rest.asking()

    def _tell(self, *, is_resting: bool) -> None:
        if not is_resting:
            is_resting = any(rest.has_begun for rest in self._rests.values())
        if is_resting != self._is_resting:
            self._is_resting = is_resting
            self._whole.told(is_resting=is_resting)


def rest_of(client: Redis) -> Rest:
    """Return what all who use a client share."""
    return _RESTS.setdefault(client, Rest())


def node_rests_of(client: Redis) -> NodeRests:
    """Return the same of each node of a cluster."""
    return _NODE_RESTS.setdefault(client, NodeRests(rest_of(client)))


_RESTS: WeakKeyDictionary[Redis, Rest] = WeakKeyDictionary()
_NODE_RESTS: WeakKeyDictionary[Redis, NodeRests] = WeakKeyDictionary()


def _nobody(*, is_resting: bool) -> None:
    """Tell nobody."""
