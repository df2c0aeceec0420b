"""Who takes from the lanes, and how the broker is set up: for an operator, never for a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Connection

from config.settings import Settings
from domain.errors import BrokerUnavailableError
from tasks.settings import celery_configuration, is_rabbitmq
from tasks.unanswered import UNANSWERED

_CONNECT_SECONDS = 3
_REPLY_SECONDS = 1.0
_FACTS = ("redis_version", "maxmemory_policy", "aof_enabled")


@dataclass(frozen=True, slots=True)
class Workforce:
    """The workers and their broker.

    Attributes:
        kind: redis or rabbitmq.
        workers: the names of the workers that take from each lane.
        facts: what a Redis server says of itself (version, policy, persistence); else empty.
    """

    kind: str
    workers: Mapping[str, Sequence[str]]
    facts: Mapping[str, str]


def muster(settings: Settings) -> Workforce:
    """Ask all workers which lanes they take from; who is silent for a second is none. Blocks.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    app = Celery("balance-cache-workforce", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    rabbitmq = is_rabbitmq(settings.celery_broker_url)
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=_CONNECT_SECONDS)
            channel: Any = connection.default_channel  # Redis's has a client
            told = {} if rabbitmq else channel.client.info()
            # A connection of its own: after a wait for replies that nobody sends, Redis still owes
            # an answer on it, which the next borrower of a pooled one would take for his.
            workers = _workers(app, connection)
        facts = {name: str(told[name]) for name in _FACTS if name in told}
        return Workforce("rabbitmq" if rabbitmq else "redis", workers, facts)
    except UNANSWERED as error:
        raise BrokerUnavailableError(f"the broker does not answer: {error}") from error
    finally:
        app.close()


def _workers(app: Celery, connection: Connection) -> dict[str, list[str]]:
    inspect = app.control.inspect(timeout=_REPLY_SECONDS, connection=connection)
    answers = inspect.active_queues() or {}
    found: dict[str, list[str]] = {}
    for worker, queues in answers.items():
        for queue in queues:
            found.setdefault(str(queue["name"]), []).append(worker)
    return found
