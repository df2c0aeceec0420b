"""The documents name everything that an operator meets, and their commands exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.main import app
from config.settings import Settings
from domain import errors
from tests.shell_blocks import PAGES, ROOT, Block, blocks

BLOCKS = [block for page in PAGES for block in blocks(page)]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
KEYS = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
SOURCES = [p for folder in ("cache", "tasks") for p in (ROOT / folder).rglob("*.py")]


def _id(block: Block) -> str:
    return f"{block.page.name}: {next(iter(block.commands), '')[:40]}"


@pytest.mark.parametrize("block", BLOCKS, ids=_id)
def test_every_shell_block_runs_or_says_why_not(block: Block) -> None:
    assert block.how in {"runs", "not run"}, "put <!-- runs: … --> or <!-- not run: … --> above it"
    for path in re.findall(r"tests/[\w/]+\.py", block.what):
        assert (ROOT / path).is_file()


def test_every_scene_is_played_by_a_test() -> None:
    tests = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    scenes = {b.what for b in BLOCKS if b.how == "runs" and "CI itself" not in b.what}

    assert scenes
    assert [name for name in sorted(scenes) if f'"{name}"' not in tests] == []


@pytest.mark.parametrize("block", BLOCKS, ids=_id)
def test_every_command_of_ours_in_a_block_exists(block: Block) -> None:
    for line in block.commands:
        words = line.split()
        if words[0] != "balance-cache":
            continue
        command: Any = get_command(app)
        for word in words[1:]:
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
        options = {option for parameter in command.params for option in parameter.opts}
        options |= {option for parameter in command.params for option in parameter.secondary_opts}
        assert not getattr(command, "commands", None), line
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, line


def test_every_command_appears() -> None:
    group: Any = get_command(app)

    assert [n for n in group.commands if f"balance-cache {n}" not in TEXT] == []


def test_every_setting_appears() -> None:
    assert [n for n in Settings.model_fields if f"`{n.upper()}`" not in TEXT] == []


def test_every_error_is_told_with_what_it_means() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.BalanceCacheError)
    }

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == kinds


def test_every_redis_key_appears_and_none_that_is_gone() -> None:
    used = {
        key
        for path in SOURCES
        for key in re.findall(r"\bbc:[a-z]+(?:-[a-z]+)*", path.read_text(encoding="utf-8"))
    }
    told = set(re.findall(r"\bbc:[a-z]+(?:-[a-z]+)*", KEYS))

    assert used == told


def test_both_readmes_lead_to_each_other() -> None:
    assert "(README.pt.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(README.md)" in (ROOT / "README.pt.md").read_text(encoding="utf-8")


def test_every_link_leads_somewhere() -> None:
    lost = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert lost == []


def test_the_pages_of_an_operator_are_short() -> None:
    names = ("install", "scaling", "upgrade", "backup", "security", "errors", "keys")

    for name in names:
        lines = Path(ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").splitlines()
        assert len(lines) < 80
