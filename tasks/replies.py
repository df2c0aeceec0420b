"""Answers to remote control that nobody fetches do not pile up on a Redis broker.

A program that asks workers something (Flower, ``celery inspect``) and is killed before it reads the
answers leaves a list ``….reply.celery.pidbox`` and its binding, for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery

from tasks.app import app
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import FORGET_REPLIES, Queue
from tasks.parts import Parts
from tasks.settings import is_rabbitmq

LIFE_SECONDS = 300
"""How long an answer may wait to be read once it was seen; callers wait for seconds."""

_SUFFIX = b".reply.celery.pidbox"
_BINDINGS = "_kombu.binding.reply.celery.pidbox"
_PORTION = 500
_WALK_SECONDS = 1.0
_log = structlog.get_logger("tasks")


@declare_task(
    FORGET_REPLIES, queue=Queue.REFRESH, deadline_seconds=20, expires_seconds=30, retries=0
)
async def forget_replies(parts: Parts) -> Sequence[Follow]:  # noqa: ARG001 - they are the broker's
    """Forget answers to remote control whose asker is gone. RabbitMQ does so by itself."""
    if not is_rabbitmq(app.conf.broker_url):
        await asyncio.to_thread(sweep, app)
    return ()


def sweep(celery: Celery) -> int:
    """Give new answers a life, and remove those that an earlier sweep saw; return how many.

    An asker that lives takes its answers within seconds, and its list is gone with the last.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    with celery.producer_or_acquire() as producer:
        channel: Any = producer.connection.default_channel
        removed = _sweep(channel.client)
    if removed:
        _log.info("broker.replies_forgotten", count=removed)
    return removed


def _sweep(client: Any) -> int:
    removed, cursor, ends_at = 0, 0, time.monotonic() + _WALK_SECONDS
    while True:
        cursor, names = client.scan(cursor, match=b"*" + _SUFFIX, count=_PORTION, _type="list")
        for name in names:
            if client.ttl(name) < 0:
                client.expire(name, LIFE_SECONDS)
            else:
                _remove(client, name)
                removed += 1
        if cursor == 0 or time.monotonic() > ends_at:
            return removed


def _remove(client: Any, name: bytes) -> None:
    client.delete(name)
    for member in client.sscan_iter(_BINDINGS, match=b"*" + name, count=_PORTION):
        client.srem(_BINDINGS, member)
