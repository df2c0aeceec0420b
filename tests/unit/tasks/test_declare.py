"""How tasks are declared and configured."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from tasks import invalidation, refresh, warm_up
from tasks.declare import MAX_RETRY_SECONDS, declare_task, retry_delay
from tasks.names import CONFIRM_SECONDS, Queue
from tasks.schedule import beat_schedule
from tasks.settings import celery_configuration

TASKS = [
    invalidation.invalidate,
    invalidation.refill,
    refresh.refresh_due,
    warm_up.warm_predicates,
    warm_up.warm_user,
    warm_up.warm_users,
]


def configuration(broker_url: str) -> dict[str, Any]:
    return celery_configuration(Settings(celery_broker_url=broker_url))


def test_a_misspelt_option_is_refused() -> None:
    options: dict[str, Any] = {"ignore_results": True}

    with pytest.raises(TypeError, match="ignore_results"):
        declare_task(
            "balances.never",
            queue=Queue.REFRESH,
            deadline_seconds=1,
            expires_seconds=1,
            retries=0,
            **options,
        )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_survives_the_death_of_its_worker(task: Any) -> None:
    assert task.acks_late
    assert task.reject_on_worker_lost
    assert task.ignore_result
    assert task.serializer == "json"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_message_is_handed_out_twice_while_its_task_may_still_run(task: Any) -> None:
    assert task.soft_time_limit < task.time_limit < Settings().broker_visibility_seconds


def test_what_a_user_waits_for_expires_and_an_invalidation_never_does() -> None:
    assert warm_up.warm_user.expires
    assert warm_up.warm_users.expires
    assert warm_up.warm_predicates.expires
    assert refresh.refresh_due.expires
    assert invalidation.invalidate.expires is None
    assert invalidation.refill.expires is None
    assert invalidation.invalidate.max_retries is None


def test_retries_wait_longer_each_time_but_never_as_long_as_the_visibility_timeout() -> None:
    assert Settings().broker_visibility_seconds > MAX_RETRY_SECONDS
    for retries in (0, 1, 5, 50, 10_000):
        assert 0 < retry_delay(retries) <= MAX_RETRY_SECONDS
    assert max(retry_delay(0) for _ in range(50)) < min(retry_delay(4) for _ in range(50))


def test_each_lane_has_an_exchange_of_its_own() -> None:
    queues = configuration("redis://127.0.0.1/1")["task_queues"]

    assert [queue.name for queue in queues] == ["invalidation", "warmup", "refresh"]
    assert [queue.exchange.name for queue in queues] == [queue.name for queue in queues]
    assert [queue.routing_key for queue in queues] == [queue.name for queue in queues]


def test_redis_gives_back_a_killed_workers_messages_soon_and_takes_the_lanes_in_order() -> None:
    options = configuration("redis://127.0.0.1/1")["broker_transport_options"]

    assert options["visibility_timeout"] == Settings().broker_visibility_seconds
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 10
    assert options["queue_order_strategy"] == "priority"


def test_rabbitmq_confirms_what_it_takes() -> None:
    assert configuration("amqp://guest@127.0.0.1//")["broker_transport_options"] == {
        "confirm_publish": True
    }


def test_beat_asks_for_each_network_with_an_expiry() -> None:
    settings = Settings(refresh_interval_seconds=7)
    entries = {
        name: entry
        for name, entry in celery_configuration(settings)["beat_schedule"].items()
        if name.startswith("refresh-due-")
    }

    assert sorted(entry["args"] for entry in entries.values()) == [(0,), (9889,)]
    assert {entry["schedule"] for entry in entries.values()} == {7}
    assert {entry["options"]["expires"] for entry in entries.values()} == {7}


def test_beat_waits_for_no_confirm_without_an_end() -> None:
    entries = beat_schedule(Settings(price_source="prices.json")).values()

    assert len(entries) > 8
    assert {entry["options"]["confirm_timeout"] for entry in entries} == {CONFIRM_SECONDS}


def test_beat_asks_for_a_follower_of_each_network_unless_nobody_is_to_follow() -> None:
    def chains(settings: Settings) -> list[tuple[int]]:
        entries = celery_configuration(settings)["beat_schedule"].values()
        return sorted(entry["args"] for entry in entries if entry["task"] == "balances.follow")

    assert chains(Settings()) == [(0,), (9889,)]
    assert chains(Settings(follow_enabled=False)) == []
    assert chains(Settings(enable_balance_cache=False)) == []
