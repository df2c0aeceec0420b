"""``balance-cache queues``: what waits in the lanes, and who takes from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cli.operate.lanes import Staffed
from cli.output import print_json, span, table
from config.settings import Settings
from domain.lanes import BrokerState
from tasks.lanes import BrokerLanes, open_lanes

_EVERY_SECONDS = 1.0


def watch(settings: Settings, shown: Console, *, as_json: bool, until_empty: bool) -> None:
    """Show the lanes every second, until Ctrl-C or until nothing waits and nothing is held.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    lanes = open_lanes(settings)
    try:
        if as_json:
            _follow(lanes, print_json, until_empty=until_empty)
            return
        with Live(console=shown, auto_refresh=False) as live:
            _follow(
                lanes,
                lambda state: live.update(
                    as_table([Staffed(lane, ()) for lane in state.lanes]), refresh=True
                ),
                until_empty=until_empty,
            )
    finally:
        lanes.close()


def _follow(
    lanes: BrokerLanes, show: Callable[[BrokerState], object], *, until_empty: bool
) -> None:
    while True:
        state = lanes.look()
        show(state)
        if until_empty and not any(
            lane.ready or lane.unacked or lane.delayed for lane in state.lanes
        ):
            return
        time.sleep(_EVERY_SECONDS)


def as_table(lanes: Sequence[Staffed]) -> Table:
    """Return the lanes for people."""
    rows = [
        (
            lane.state.lane,
            str(lane.state.ready),
            _number(lane.state.unacked),
            _number(lane.state.delayed),
            span(lane.state.oldest_seconds),
            ", ".join(lane.workers),
        )
        for lane in lanes
    ]
    return table("", ("lane", "waiting", "held", "later", "oldest", "workers"), rows)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)
