"""The lanes with everything that is known of them: what waits, and who takes from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from domain.lanes import LaneState
from tasks.lanes import open_lanes
from tasks.workforce import Workforce, muster


@dataclass(frozen=True, slots=True)
class Staffed:
    """One lane and the workers that take from it."""

    state: LaneState
    workers: Sequence[str]


def look(settings: Settings) -> tuple[Workforce, list[Staffed]]:
    """Look at the broker and ask the workers. Blocks for about a second.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    force = muster(settings)
    lanes = open_lanes(settings)
    try:
        state = lanes.look()
    finally:
        lanes.close()
    staffed = [Staffed(lane, list(force.workers.get(lane.lane, ()))) for lane in state.lanes]
    return force, staffed
