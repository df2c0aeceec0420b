"""``balance-cache up``: everything runs until it is stopped, and nothing afterwards."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import httpx
import pytest

from supervisor.waiting import wait_until
from tests.process_support import Program, running, running_below_a_shell

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]


def printed(program: Program, pattern: str) -> str:
    found = re.search(pattern, program.output())
    assert found is not None, program.output()
    return found.group(1)


def transfer_and_tell(program: Program) -> None:
    """Do what the last two printed commands do."""
    transfer = re.search(r"(http://\S+/devnet/transfer) -d '(.+)'", program.output())
    tell = re.search(r"(http://\S+/internal/events/transaction) -d '(.+)'", program.output())
    assert transfer is not None
    assert tell is not None
    confirmed = httpx.post(transfer[1], json=json.loads(transfer[2]), timeout=20)
    confirmed.raise_for_status()
    event = {**json.loads(tell[2]), "blockHeight": confirmed.json()["blockHeight"]}
    key = {"X-API-Key": printed(program, r"KEY=(\S+)")}
    httpx.post(tell[1], json=event, headers=key, timeout=20).raise_for_status()


def amount(api: str, headers: dict[str, str], program: Program) -> int:
    """What the first vault holds of the asset that was paid with, as the API says."""
    vault = printed(program, r"/predicate/reserved-coins/(\S+)")
    body = httpx.get(f"{api}/predicate/reserved-coins/{vault}", headers=headers, timeout=20).json()
    asset_id = printed(program, r'"assetId": "(0x[0-9a-f]+)"')
    return sum(int(row["amount"], 16) for row in body["totalBalance"] if row["assetId"] == asset_id)


def test_up_answers_as_it_says_and_ends_every_program(tmp_path: Path) -> None:
    with running(tmp_path, "up") as program:
        program.wait_for("Ctrl-C ends everything")
        api = printed(program, r"API +(http://\S+)")
        headers = {
            "Authorization": printed(program, r"TOKEN=(\S+)"),
            "signeraddress": printed(program, r"USER=(\S+)"),
        }
        allocation = httpx.get(f"{api}/user/allocation?limit=50", headers=headers, timeout=20)
        transfer_and_tell(program)
        assert wait_until(lambda: amount(api, headers, program) == 999_999_000, seconds=20)
        flower = httpx.get(printed(program, r"Flower +(http://\S+)"), timeout=20)
        started = program.left_behind()
        program.process.send_signal(signal.SIGINT)

        assert program.end() == 0
        assert allocation.status_code == 200
        assert len(allocation.json()["predicates"]) == 10
        assert allocation.json()["partial"] is False
        assert flower.status_code == 200
        assert any("flower" in line for line in started)
        assert any("beat" in line for line in started)
        assert program.leaves_nothing(), program.left_behind()


def test_up_that_is_told_to_end_while_it_starts_ends_every_program(tmp_path: Path) -> None:
    with running(tmp_path, "up") as program:
        assert wait_until(
            lambda: any("flower" in line for line in program.left_behind()), seconds=60
        )
        program.process.send_signal(signal.SIGTERM)

        assert program.end() == 0
        assert "Ctrl-C" not in program.output()
        assert program.leaves_nothing(), program.left_behind()


def test_up_ends_with_whoever_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    with running_below_a_shell(tmp_path, "up", "--with-parent") as shell:
        assert wait_until(lambda: any("beat" in line for line in shell.left_behind()), seconds=60)
        shell.process.send_signal(signal.SIGKILL)
        shell.end()

        assert shell.leaves_nothing(), shell.left_behind()
