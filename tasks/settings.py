"""Celery's settings, each with its reason. Built when first needed, never at import."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from kombu import Exchange
from kombu import Queue as BrokerQueue

from config.settings import Settings
from tasks import redis_transport  # noqa: F401 - is what redis:// names from here on
from tasks.names import Queue
from tasks.schedule import beat_schedule


def celery_configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's configuration for the operator's settings."""
    return {
        **_delivery(settings),
        **_messages(),
        **_worker(),
        "beat_schedule": beat_schedule(settings),
        "timezone": "UTC",
    }


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.celery_broker_url,
        # A broker that starts after us, or restarts, is waited for, for ever.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 4.0,
        "broker_transport_options": _transport_options(settings),
        "task_queues": [_lane(queue, settings.celery_broker_url) for queue in Queue],
        # RabbitMQ: Celery sets up queues for countdowns beside quorum queues. Ours are in
        # tasks/later.py; these stay empty and are of the cheap kind.
        "broker_native_delayed_delivery_queue_type": "classic",
        # A misspelt queue would collect tasks that nobody runs.
        "task_create_missing_queues": False,
        "task_default_queue": Queue.WARMUP.value,
        # Acknowledge after the work: a killed worker's message is delivered again. All tasks
        # can run twice without harm.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # With late acknowledgement, 1 means: hold what is being worked on and nothing more.
        "worker_prefetch_multiplier": 1,
        # A task that lost its connection ends its work: it costs little and it is right.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


def is_rabbitmq(broker_url: str) -> bool:
    """Tell whether the broker is RabbitMQ; else it is Redis."""
    return not urlsplit(broker_url).scheme.startswith(("redis", "valkey"))


def _lane(queue: Queue, broker_url: str) -> BrokerQueue:
    arguments = None
    if is_rabbitmq(broker_url):
        # On disk before a publish is confirmed, on several brokers if there are.
        arguments = {"x-queue-type": "quorum"}
    return BrokerQueue(
        queue.value,
        Exchange(queue.value),
        routing_key=queue.value,
        queue_arguments=arguments,
    )


def _transport_options(settings: Settings) -> dict[str, Any]:
    if is_rabbitmq(settings.celery_broker_url):
        return {
            # RabbitMQ: a publish counts when the broker has confirmed it.
            "confirm_publish": True,
        }
    return {
        # After this Redis gives an unacknowledged message to another worker. By default longer
        # than any task's hard limit and any retry's delay, so that nothing is handed out twice
        # while it is worked on; short, because a killed worker delays what it held by as much
        # (Celery's default is an hour).
        "visibility_timeout": settings.broker_visibility_seconds,
        # Look for abandoned messages every 5 s; kombu's own default is every 100 s.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # Whoever is killed while he brings messages back holds this lock until it is over. kombu's
        # own five minutes would keep a killed worker's messages from everybody for as long.
        "unacked_mutex_expire": 10,
        # Take from the queues in their order, the invalidation lane first.
        "queue_order_strategy": "priority",
        # A broker that vanishes without closing the connection is noticed.
        "socket_connect_timeout": 2.0,
        "socket_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


def _messages() -> dict[str, Any]:
    return {
        # JSON alone: a message can carry values, never code.
        "task_serializer": "json",
        "accept_content": ["json"],
        # The cache is the result. A result backend would be one more thing to fail and fill.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": "tasks.no_results:NoResults",
        # Flower shows tasks without further flags; on Redis an event is one publish.
        "worker_send_task_events": True,
        # Event and control queues of programs that are gone do not stay on the broker.
        "event_queue_expires": 60.0,
        "control_queue_expires": 60.0,
    }


def _worker() -> dict[str, Any]:
    return {
        # At the second signal, running tasks get this long before their messages go back.
        "worker_soft_shutdown_timeout": 10.0,
        # A child that has grown to this many kilobytes is replaced after its task.
        "worker_max_memory_per_child": 400_000,
        # A child that hangs at its start is replaced.
        "worker_proc_alive_timeout": 30.0,
        # Our own log pipeline; see tasks/lifecycle.py.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }
