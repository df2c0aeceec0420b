"""The parts that a command works with, opened and closed around it.

They are imported when they are opened: what only shows its help need not wait for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from config.logging import configure_logging
from config.settings import Settings, current_settings
from domain.values import Address, ChainId, parse_address

if TYPE_CHECKING:
    from runtime.assembly import Runtime

Result = TypeVar("Result")

PUBLISH_SECONDS = 5.0
"""A person waits longer for the broker than a web request may."""


def run(work: Callable[[Runtime], Awaitable[Result]]) -> Result:
    """Run a command's work on the configured parts."""
    settings = current_settings()
    # A library's warning is noise beside a command's own one line.
    configure_logging("ERROR", as_json=False)
    return asyncio.run(_run(settings, work))


async def _run(settings: Settings, work: Callable[[Runtime], Awaitable[Result]]) -> Result:
    async with opened(settings) as runtime:
        return await work(runtime)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Runtime]:
    """Open the parts; nothing is connected yet."""
    from runtime.assembly import Runtime  # noqa: PLC0415 - see above

    runtime = await Runtime.open(settings)
    try:
        yield runtime
    finally:
        await runtime.close()


def chains(settings: Settings, chain_id: ChainId | None) -> tuple[ChainId, ...]:
    """Return the chains that are meant.

    Raises:
        UnknownNetworkError: the one that was given is not on the allow-list.
    """
    return settings.chain_ids if chain_id is None else (settings.network(chain_id).chain_id,)


def addresses(texts: Sequence[str]) -> list[Address]:
    """Return addresses in their one form, each once.

    Raises:
        InvalidAddressError: one is in no valid form.
    """
    return list(dict.fromkeys(parse_address(text) for text in texts))
