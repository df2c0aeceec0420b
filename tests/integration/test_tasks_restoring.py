"""Bringing a killed worker's messages back on a Redis broker."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.transport.redis import Mutex

from config.settings import Settings
from supervisor.valkey import EmbeddedServer
from tasks.settings import celery_configuration


def test_whoever_is_killed_while_he_brings_messages_back_keeps_them_for_seconds_only(
    broker_server: EmbeddedServer,
) -> None:
    app = Celery("restores", set_as_current=False)
    settings = Settings(celery_broker_url=broker_server.url(6))
    app.config_from_object(celery_configuration(settings))
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel  # what it can do is the transport's
        key = channel.unacked_mutex_key
        with Mutex(channel.client, key, channel.unacked_mutex_expire):  # here he is killed
            seconds = channel.client.ttl(key)
    app.close()

    assert 0 < seconds <= settings.broker_visibility_seconds / 2
