"""When the events of tasks are sent: on Celery's own dispatcher, with a hub that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events import EventDispatcher

from tasks.app import app
from tasks.event_gathering import GatheredEvents


@dataclass
class StillHub:
    """A hub whose time passes when the test says so."""

    timers: list[Callable[[], None]] = field(default_factory=list)

    def call_repeatedly(self, _delay: float, callback: Callable[..., None], *args: Any) -> Any:
        def timer() -> None:
            callback(*args)

        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def pass_time(self) -> None:
        for timer in list(self.timers):
            timer()


@dataclass
class Line:
    """Where Celery's dispatcher publishes."""

    published: list[list[str]] = field(default_factory=list)

    def publish(self, events: list[dict[str, Any]], **_: Any) -> None:
        self.published.append([event["type"] for event in events])


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def consumer(line: Line) -> Any:
    connection: Any = SimpleNamespace(transport=SimpleNamespace(driver_type="redis"))
    dispatcher: Any = EventDispatcher(
        connection, app=app, enabled=False, buffer_group=["task"], on_send_buffered=None
    )
    dispatcher.enabled, dispatcher.producer = True, line
    return SimpleNamespace(hub=StillHub(), event_dispatcher=dispatcher)


def test_events_wait_for_each_other_and_nothing_is_sent_where_nothing_happened(
    consumer: Any, line: Line
) -> None:
    GatheredEvents(consumer).start(consumer)
    consumer.hub.pass_time()
    for kind in ("task-received", "task-started", "task-succeeded") * 20:
        consumer.event_dispatcher.send(kind)
    assert line.published == []

    consumer.hub.pass_time()
    consumer.hub.pass_time()

    assert line.published == [["task-received", "task-started", "task-succeeded"] * 20]


def test_a_flood_of_events_is_not_gathered_without_bound(consumer: Any, line: Line) -> None:
    GatheredEvents(consumer).start(consumer)
    for _ in range(1_000):
        consumer.event_dispatcher.send("task-received")

    assert [len(events) for events in line.published] == [200] * 5


def test_what_is_left_at_the_end_is_sent_and_nothing_goes_on(consumer: Any, line: Line) -> None:
    step = GatheredEvents(consumer)
    step.start(consumer)
    consumer.event_dispatcher.send("task-succeeded")

    step.stop(consumer)

    assert line.published == [["task-succeeded"]]
    assert consumer.hub.timers == []
    step.stop(consumer)


def test_a_worker_gathers() -> None:
    assert GatheredEvents in app.steps["consumer"]
    assert GatheredEvents.__module__ in app.conf.include
