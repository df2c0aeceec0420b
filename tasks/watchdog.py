"""Ends a worker that is alive and takes nothing although its lanes have messages.

After a broken connection Celery's consumer can go on answering pings while it consumes nothing; no
liveness check sees that. Only the worker itself knows whether it is idle, busy or starving. Its
supervisor starts it again; what is unacknowledged goes back to the lanes.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import count
from typing import Any

import structlog
from celery import Celery, signals
from celery.worker import state

from config.settings import current_settings
from domain.errors import BrokerUnavailableError
from tasks.lanes import BrokerLanes, open_lanes
from telemetry.process import process_measures

EXIT_CODE = 75
"""``EX_TEMPFAIL``: start me again."""

_LOOKS = 6
"""How often it is looked within the time after which a worker is given up."""

_LONGEST_PAUSE_SECONDS = 5.0
_log = structlog.get_logger("tasks")


class Starvation:
    """For how long a worker has got nothing although there was something. Pure."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._taken = 0

    def look(self, now: float, *, taken: int, busy: bool, waiting: int | None) -> float:
        """Return the seconds of starving, 0 for a worker that is well.

        Args:
            now: a clock that never goes back, seconds.
            taken: messages that the worker has taken in its life.
            busy: it works on one, holds one, or is ending.
            waiting: messages in its lanes; None: the broker does not tell, so nobody knows.
        """
        took_one = taken != self._taken
        self._taken = taken
        if took_one or busy or not waiting:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since


class _Taken:
    """Counts messages, those that are expired, unknown or refused too."""

    def __init__(self) -> None:
        self._counter = count(1)
        self.total = 0

    def note(self, **_: Any) -> None:
        self.total = next(self._counter)


_taken = _Taken()
for _signal in (
    signals.task_received,
    signals.task_revoked,
    signals.task_unknown,
    signals.task_rejected,
):
    _signal.connect(_taken.note)


class Watchdog(threading.Thread):
    """Looks now and then; ends the process when it has starved for too long.

    It has a connection of its own to the broker: the worker's may be the one that is dead.
    """

    def __init__(self, app: Celery, lanes: BrokerLanes, seconds: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._app = app
        self._lanes = lanes
        self._seconds = seconds
        self._starvation = Starvation()

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            time.sleep(min(self._seconds / _LOOKS, _LONGEST_PAUSE_SECONDS))
            waiting = self._waiting()
            starving = self._starvation.look(
                time.monotonic(), taken=_taken.total, busy=_is_busy(), waiting=waiting
            )
            process_measures().starving(starving)
            if starving >= self._seconds:
                self._end(starving, waiting)

    def _waiting(self) -> int | None:
        consumed = set(self._app.amqp.queues.consume_from)
        try:
            lanes = self._lanes.look().lanes
        except BrokerUnavailableError:
            return None
        return sum(lane.ready for lane in lanes if lane.lane in consumed)

    def _end(self, starving: float, waiting: int | None) -> None:
        _log.error(
            "worker.stuck",
            seconds=round(starving, 1),
            waiting=waiting,
            reason="alive, but takes nothing from the broker; to be started again",
            exit_code=EXIT_CODE,
        )
        # Not a polite end: that would wait for the consumer which is stuck.
        os._exit(EXIT_CODE)


def _is_busy() -> bool:
    signs: tuple[object, ...] = (state.should_stop, state.should_terminate)
    ending = any(sign is not None and sign is not False for sign in signs)  # 0 is an exit code
    return ending or bool(state.active_requests or state.reserved_requests)


@signals.worker_ready.connect
def _watch(sender: Any, **_: Any) -> None:
    settings = current_settings()
    if settings.watchdog_seconds:
        Watchdog(sender.app, open_lanes(settings), settings.watchdog_seconds).start()
