"""``balance-cache up``: everything runs until it is stopped, and nothing afterwards."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx
import pytest

from tests.process_support import Program, running

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]


def printed(program: Program, pattern: str) -> str:
    found = re.search(pattern, program.output())
    assert found is not None, program.output()
    return found.group(1)


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_up_answers_as_it_says_and_ends_every_program(
    tmp_path: Path, stop_signal: signal.Signals
) -> None:
    with running(tmp_path, "up") as program:
        program.wait_for("Ctrl-C ends everything")
        api = printed(program, r"API +(http://\S+)")
        headers = {
            "Authorization": printed(program, r"TOKEN=(\S+)"),
            "signeraddress": printed(program, r"USER=(\S+)"),
        }
        allocation = httpx.get(f"{api}/user/allocation?limit=50", headers=headers, timeout=20)
        flower = httpx.get(printed(program, r"Flower +(http://\S+)"), timeout=20)
        started = program.left_behind()
        program.process.send_signal(stop_signal)

        assert program.end() == 0
        assert allocation.status_code == 200
        assert len(allocation.json()["predicates"]) == 10
        assert allocation.json()["partial"] is False
        assert flower.status_code == 200
        assert any("flower" in line for line in started)
        assert any("beat" in line for line in started)
        assert program.leaves_nothing(), program.left_behind()
