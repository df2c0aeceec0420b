"""``balance-cache warm-up``: how far each predicate of a user's last login is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from cache.warm_ups import WarmUpUnit
from cli.output import table
from config.settings import Settings
from domain.networks import Network
from runtime.assembly import Runtime

Units = Mapping[Network, Sequence[WarmUpUnit]]


async def units_of(settings: Settings, user_id: str) -> Units:
    """Return each predicate of the user's last warm-up, on every network.

    Raises:
        CacheUnavailableError: it cannot be read.
    """
    runtime = await Runtime.open(settings)
    try:
        return {
            network: await runtime.warm_ups.units(user_id, network.chain_id) or ()
            for network in settings.fuel_networks
        }
    finally:
        await runtime.close()


def as_json(units: Units) -> list[dict[str, object]]:
    """Return one entry for each predicate."""
    return [
        {
            "chainId": network.chain_id,
            "predicate": unit.address,
            "state": unit.state.name.lower(),
            "failures": unit.failures,
        }
        for network, some in units.items()
        for unit in some
    ]


def print_units(console: Console, units: Units) -> None:
    """Print a table, or that there is nothing to tell."""
    rows = [
        (network.name, unit.address, unit.state.name.lower(), str(unit.failures))
        for network, some in units.items()
        for unit in some
    ]
    if rows:
        console.print(table("", ("network", "predicate", "state", "failures"), rows))
    else:
        console.print("no warm-up of the last ten minutes")
