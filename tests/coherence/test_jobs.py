"""The check in portions: nothing is left out, and what was found can be played again by name."""

from __future__ import annotations

import pytest

from tests.coherence.checking import Findings, explore
from tests.coherence.drawing import Stage, check_drawn
from tests.coherence.jobs import CASTS, Orders, drawn, every_order, play_again
from tests.coherence.stepping import break_script
from tests.coherence.systems import ours_on_redis
from tests.coherence.workers import play_all

CAST = "one fetch@redis"
KEPT = "redis.call('DEL', value)\n  redis.call('SET', chain_flag, now, 'PX', flag_ms)"


def _play(cast: str, stage: Stage) -> Findings:
    found = Findings()
    for first in range(len(CASTS[cast].acts)):
        found.add(Orders(cast, first).play(stage))
    return found


def test_the_portions_of_a_cast_are_all_its_orders(stage: Stage) -> None:
    in_portions, whole = _play(CAST, stage), explore(CASTS[CAST], ours_on_redis, stage.server)

    assert in_portions.interleavings == whole.interleavings
    assert in_portions.fresh_reads == whole.fresh_reads
    assert {job.cast for job in every_order() if isinstance(job, Orders)} == set(CASTS)


def test_a_violation_in_some_order_is_played_again_by_its_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_script(stage.server, broken, "invalidate", KEPT, "")
        found = _play(CAST, stage)
        again = [play_again(name, stage) for name in found.runs]
    healed = [play_again(name, stage) for name in found.runs]

    assert 0 < found.violating < found.interleavings
    assert [one.violating for one in again] == [1] * len(found.runs)
    assert [one.violating for one in healed] == [0] * len(found.runs)


def test_a_violation_in_a_drawn_run_is_played_again_by_its_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_script(stage.server, monkeypatch, "invalidate", KEPT, "")

    found = check_drawn(range(200), 7, stage)

    assert 0 < found.violating < found.interleavings
    assert all(play_again(name, stage).violating == 1 for name in found.runs)


def test_several_processes_find_what_one_finds(stage: Stage) -> None:
    told: list[Findings] = []
    play_all([*drawn(700, seed=7), Orders("one fetch@twin", 0)], 2, told.append)

    one = check_drawn(range(700), 7, stage)
    one.add(Orders("one fetch@twin", 0).play(stage))
    assert len(told) == 3
    assert sum(some.interleavings for some in told) == one.interleavings
    assert sum(some.fresh_reads for some in told) == one.fresh_reads
    assert sum(some.copied_reads for some in told) == one.copied_reads
    assert sum(some.violating for some in told) == one.violating == 0


@pytest.mark.parametrize("name", ["", "7", "no such cast@redis:0.1", "7:x"])
def test_what_is_no_name_of_a_run_is_refused(name: str, stage: Stage) -> None:
    with pytest.raises(ValueError, match="not the name of a run"):
        play_again(name, stage)
