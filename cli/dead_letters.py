"""``balance-cache dead-letters``: what nobody could work on, and another try."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from cache.dead_letters import DeadLetter
from config.settings import Settings
from runtime.assembly import Runtime
from tasks.dead_letters import replay
from tasks.publisher import open_publisher

_PUBLISH_SECONDS = 5.0


async def list_dead_letters(settings: Settings) -> list[DeadLetter]:
    """Return the dead letters, the oldest first.

    Raises:
        CacheUnavailableError: they cannot be read.
    """
    runtime = await Runtime.open(settings)
    try:
        return await runtime.dead_letters.listed()
    finally:
        await runtime.close()


def print_dead_letters(letters: Sequence[DeadLetter], console: Console) -> None:
    """Print the dead letters for people."""
    table = Table("when", "task", "arguments", "lane", "reason")
    for letter in letters:
        table.add_row(_when(letter), letter.task, _arguments(letter), letter.queue, letter.reason)
    if letters:
        console.print(table)
    console.print(f"{len(letters)} dead letters", highlight=False)


async def replay_dead_letters(settings: Settings) -> int:
    """Publish all of them again; return how many.

    Raises:
        CacheUnavailableError: they cannot be read.
        PublishingError: the broker does not take one; it stays, and so do those behind it.
    """
    runtime = await Runtime.open(settings)
    try:
        async with open_publisher(settings, seconds=_PUBLISH_SECONDS) as publisher:
            return await replay(runtime.dead_letters, publisher)
    finally:
        await runtime.close()


def _when(letter: DeadLetter) -> str:
    seconds = int(letter.entry_id.partition("-")[0]) / 1000
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _arguments(letter: DeadLetter) -> str:
    named = [f"{name}={json.dumps(value)}" for name, value in letter.kwargs.items()]
    return ", ".join([*(json.dumps(value) for value in letter.args), *named])
