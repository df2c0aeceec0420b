"""``balance-cache inspect``: everything that is held of one vault."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from cache.inspection import Inside, Mark
from cli.operate.opened import chains
from cli.output import clock_time, span, table
from domain.values import Address, ChainId, Fresh, Missing, ReadAnswer, Stale
from runtime.assembly import Runtime


@dataclass(frozen=True, slots=True)
class VaultView:
    """One vault on one chain.

    Attributes:
        chain_id: the chain.
        network: its name.
        answer: what a reader is given without waiting.
        inside: what Redis holds.
    """

    chain_id: ChainId
    network: str
    answer: ReadAnswer
    inside: Inside

    @property
    def state(self) -> str:
        """Fresh, stale or missing."""
        return {Fresh: "fresh", Stale: "stale", Missing: "missing"}[type(self.answer)]


async def look(runtime: Runtime, address: Address, chain_id: ChainId | None) -> list[VaultView]:
    """Look at a vault on each chain that is meant; nothing is fetched and nothing is counted.

    Raises:
        UnknownNetworkError: the chain is not configured.
        CacheUnavailableError: Redis does not answer.
    """
    views = []
    for each in chains(runtime.settings, chain_id):
        answers = await runtime.cache.read(each, [address], counted=False)
        inside = await runtime.inspector.look(each, address)
        name = runtime.settings.network(each).name
        views.append(VaultView(each, name, answers[address], inside))
    return views


def as_json(address: Address, views: list[VaultView]) -> dict[str, object]:
    """Return the views for programs."""
    return {"address": address, "chains": [_one_as_json(view) for view in views]}


def _one_as_json(view: VaultView) -> dict[str, object]:
    found: dict[str, object] = {
        "chain_id": view.chain_id,
        "network": view.network,
        "state": view.state,
    }
    if not isinstance(view.answer, Missing):
        stored = view.answer.stored
        found |= {
            "age_seconds": view.answer.age_ms / 1000,
            "reason": view.answer.reason.value if isinstance(view.answer, Stale) else None,
            "published_at_ms": stored.timestamp_ms,
            "height": stored.snapshot.height,
            "version": stored.version,
            "foreign": stored.foreign,
            "node": stored.snapshot.network_url,
            # As texts: a u128 does not fit into the numbers of JavaScript.
            "balances": {b.asset_id: str(b.amount) for b in stored.snapshot.balances},
        }
    return found | {"inside": view.inside}


def print_views(shown: Console, address: Address, views: list[VaultView]) -> None:
    """Print the views for people."""
    shown.print(f"[bold]{address}[/]", soft_wrap=True)
    for view in views:
        shown.print()
        shown.print(f"{view.network} (chain id {view.chain_id}): {coloured(view.state)}")
        rows = [*_snapshot_rows(view.answer), *_inside_rows(view.inside)]
        shown.print(table("", ("", ""), rows))


def coloured(state: str) -> str:
    """Return a state in its colour, as markup."""
    colour = {"fresh": "green", "stale": "yellow", "missing": "red"}[state]
    return f"[bold {colour}]{state}[/]"


def _snapshot_rows(answer: ReadAnswer) -> list[tuple[str, str]]:
    if isinstance(answer, Missing):
        return [("snapshot", "none: nothing is known, which is not the same as an empty vault")]
    stored = answer.stored
    rows = [
        ("published", f"{clock_time(stored.timestamp_ms)} UTC, {span(answer.age_ms / 1000)} ago"),
        ("block height", f"{stored.snapshot.height}, version {stored.version}"),
        ("written by", "another program (Bako's API)" if stored.foreign else "this service"),
        ("node", stored.snapshot.network_url or "-"),
    ]
    if isinstance(answer, Stale):
        rows.insert(0, ("stale because", answer.reason.value))
    if not stored.snapshot.balances:
        rows.append(("balances", "none: the vault is empty"))
    rows += [("balance", f"{b.amount} of {b.asset_id}") for b in stored.snapshot.balances]
    return rows


def _inside_rows(inside: Inside) -> list[tuple[str, str]]:
    heat = inside.heat
    hot = "nobody looked at it lately"
    if heat is not None:
        hot = f"{heat.reads:.1f} reads lately, the last {_ago(inside, heat.last_read_ms)}"
        if heat.due_ms is not None:
            left = (heat.due_ms - inside.now_ms) / 1000
            hot += f", refresh due {f'in {span(left)}' if left > 0 else f'since {span(-left)}'}"
    return [
        ("fresh for", _left(inside.value_left_ms)),
        ("last known for", _left(inside.last_known_left_ms)),
        ("flag of this chain", _flag(inside, inside.chain_flag)),
        ("flag of all chains", _flag(inside, inside.global_flag)),
        (
            "invalidations",
            f"{inside.generation}, {inside.published_generation} before the last publish",
        ),
        ("minimum height", str(inside.minimum)),
        ("last invalidation", _ago(inside, inside.invalidated_at_ms)),
        ("being fetched", _left(inside.lease_left_ms)),
        ("hot", hot),
    ]


def _left(left_ms: int | None) -> str:
    return "no" if left_ms is None else f"{span(left_ms / 1000)} more"


def _flag(inside: Inside, flag: Mark | None) -> str:
    if flag is None:
        return "no"
    return f"set {_ago(inside, flag.at_ms)}, {span(flag.left_ms / 1000)} more"


def _ago(inside: Inside, at_ms: int | None) -> str:
    return "none remembered" if at_ms is None else f"{span((inside.now_ms - at_ms) / 1000)} ago"
