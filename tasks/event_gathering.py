"""Sends the events of tasks (for Flower) in groups instead of one by one.

Celery publishes what has happened to tasks whenever its loop turns: with many short tasks a publish
for each event or two, which cost a worker a seventh of what a login took. Nobody who watches needs
to know within a tenth of a second.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events

from tasks.app import app

PAUSE_SECONDS = 0.1
_MOST_EVENTS = 200
"""So many are sent at once, whatever the time."""


class GatheredEvents(bootsteps.StartStopStep):
    """A step of the worker's consumer: events are sent ten times a second, if there are any."""

    requires = (Events,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._there_are_some = False
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Gather from now on; after each new connection there is a new dispatcher."""
        dispatcher = consumer.event_dispatcher
        if consumer.hub is None or dispatcher is None:
            return  # nothing is buffered then
        dispatcher.buffer_limit = _MOST_EVENTS
        dispatcher.on_send_buffered = self._note
        self._timer = consumer.hub.call_repeatedly(PAUSE_SECONDS, self._send, consumer)

    def stop(self, consumer: Any) -> None:
        """Send what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._send(consumer)

    def _note(self) -> None:
        self._there_are_some = True

    def _send(self, consumer: Any) -> None:
        if self._there_are_some and consumer.event_dispatcher is not None:
            self._there_are_some = False
            consumer.event_dispatcher.flush()


app.steps["consumer"].add(GatheredEvents)
