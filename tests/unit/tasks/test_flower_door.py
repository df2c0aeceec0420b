"""Flower starts with a password, or on this machine alone where that was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.flower_door import trouble
from tasks.showing import shown
from tests.process_support import clean_environment

OPEN: dict[str, Any] = {
    "logins": (),
    "oauth": "",
    "address": "127.0.0.1",
    "unix_socket": "",
    "without_password": False,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"logins": ("operator:secret",)},
        {"logins": ("operator:secret", "other:word:with:colons"), "address": ""},
        {"oauth": r".*@example\.com", "address": ""},
        {"without_password": True},
    ],
)
def test_who_is_let_in_is_known(changes: dict[str, Any]) -> None:
    assert trouble(**(OPEN | changes)) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "FLOWER_BASIC_AUTH"),
        ({"address": ""}, "FLOWER_BASIC_AUTH"),
        ({"logins": ("",)}, "FLOWER_BASIC_AUTH"),
        ({"logins": ("operator:",)}, "FLOWER_BASIC_AUTH"),
        ({"logins": ("operator:secret", ":")}, "FLOWER_BASIC_AUTH"),
        ({"without_password": True, "address": ""}, "FLOWER_WITHOUT_PASSWORD"),
        ({"without_password": True, "address": "0.0.0.0"}, "FLOWER_WITHOUT_PASSWORD"),
    ],
)
def test_an_open_door_is_refused(changes: dict[str, Any], named: str) -> None:
    why = trouble(**(OPEN | changes))

    assert why is not None
    assert named in why
    assert "secret" not in why


@pytest.mark.parametrize("arguments", [[], ["--conf=tasks/flowerconfig.py"]])
def test_the_program_refuses_with_and_without_the_preset(
    arguments: list[str], tmp_path: Path
) -> None:
    environment = clean_environment({"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"})
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "flower", "--port=0", *arguments],
        env={**environment, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2, ended.stderr
    assert "FLOWER_BASIC_AUTH is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_arguments_are_short_and_hold_no_credentials() -> None:
    address = "0x" + "ab" * 32

    assert shown(f"(['{address}'], 9889)") == "(['0xababab…abab'], 9889)"
    assert shown("('redis://user:secret@host/0',)") == "('redis://host/0',)"
    assert len(shown("x" * 10_000)) == 401
