"""``balance-cache stats``: what was counted, and how many keys there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console

from cache.keys import VALUE_PATTERN, chain_of_value
from cli.output import progress, table
from runtime.assembly import Runtime


async def gather(runtime: Runtime, *, count_keys: bool, quiet: bool) -> dict[str, object]:
    """Return the counters; with `count_keys` all keys are looked at, a portion at a time.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    found = dict(await runtime.cache.stats())
    if count_keys:
        by_chain = await _count(runtime, quiet=quiet)
        found |= {
            "total_keys": sum(by_chain.values()),
            "by_chain": dict(by_chain),
            "lower_bounds": False,
        }
    return found


async def _count(runtime: Runtime, *, quiet: bool) -> Counter[str]:
    """Count values by chain; SCAN may show a key twice, so each is counted once."""
    seen: set[bytes] = set()
    total = await runtime.server.size()
    with progress("keys looked at", total, quiet=quiet) as tell:
        async for looked_at, keys in runtime.server.walk(VALUE_PATTERN):
            seen.update(keys)
            tell(looked_at if total is None else min(looked_at, total))
    chains = (chain_of_value(key.decode("utf-8", "replace")) for key in seen)
    return Counter(chain for chain in chains if chain is not None)


def print_stats(shown: Console, found: Mapping[str, object]) -> None:
    """Print the counters for people."""
    rows = []
    for name, value in found.items():
        text = (
            ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        rows.append((name.replace("_", " "), str(text)))
    shown.print(table("", ("what", "value"), rows))
    if found.get("lower_bounds"):
        shown.print("Keys are lower bounds: --count-keys looks at all of them.")
