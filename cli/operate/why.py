"""``balance-cache why``: why a vault is stale, from its events in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from cache.vault_log import VaultEvent
from cli.operate.inspecting import VaultView, coloured, look
from cli.operate.verdict import Verdict, judge
from cli.output import clock_time, span, table
from domain.errors import CacheUnavailableError
from domain.values import Address, ChainId
from runtime.assembly import Runtime


@dataclass(frozen=True, slots=True)
class Story:
    """What there is to say of a vault on one chain."""

    view: VaultView
    verdict: Verdict
    events: Sequence[VaultEvent]


async def explain(runtime: Runtime, address: Address, chain_id: ChainId | None) -> list[Story]:
    """Find out why a vault is as it is, on each chain that is meant.

    Raises:
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: Redis does not answer.
    """
    silent = await beat_is_silent(runtime)
    stories = []
    for view in await look(runtime, address, chain_id):
        events = await runtime.vault_log.events(view.chain_id, address)
        verdict = judge(view, events, beat_is_silent=silent)
        stories.append(Story(view, verdict, events))
    return stories


async def beat_is_silent(runtime: Runtime) -> bool:
    """Tell whether nobody enqueues refreshes."""
    try:
        silence = await runtime.beat.silent_seconds()
    except CacheUnavailableError:
        return False
    return silence is None or silence > runtime.settings.beat_silent_seconds


def as_json(address: Address, stories: Sequence[Story]) -> dict[str, object]:
    """Return the stories for programs."""
    return {
        "address": address,
        "chains": [
            {
                "chain_id": story.view.chain_id,
                "network": story.view.network,
                "state": story.view.state,
                "why": story.verdict.why,
                "advice": story.verdict.advice,
                "events": story.events,
            }
            for story in stories
        ],
    }


def print_stories(shown: Console, address: Address, stories: Sequence[Story]) -> None:
    """Print the stories for people."""
    shown.print(f"[bold]{address}[/]", soft_wrap=True)
    for story in stories:
        view = story.view
        shown.print()
        shown.print(f"{view.network} (chain id {view.chain_id}): {coloured(view.state)}")
        shown.print(story.verdict.why, markup=False)
        if story.events:
            shown.print()
            rows = [_row(event, view.inside.now_ms) for event in story.events]
            shown.print(table("", ("when (UTC)", "ago", "what", "height", "by or why"), rows))
        if story.verdict.advice:
            shown.print()
            shown.print("What to do:")
            for line in story.verdict.advice:
                shown.print(f"  {line}", markup=False)


def _row(event: VaultEvent, now_ms: int) -> tuple[str, ...]:
    what = event.kind.value.replace("_", " ")
    if event.times > 1:
        what += f" ({event.times} times since {clock_time(event.since_ms)})"
    return (
        clock_time(event.at_ms),
        span(max(0, now_ms - event.at_ms) / 1000),
        what,
        "" if event.height is None else str(event.height),
        event.detail,
    )
