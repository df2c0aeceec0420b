"""``balance-cache warm-up``: how far each predicate of a user's last login is."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from config.settings import Settings
from runtime.assembly import Runtime


async def show_warm_up(settings: Settings, user_id: str, console: Console) -> None:
    """Print each predicate of the user's last warm-up, on every network that has one.

    Raises:
        CacheUnavailableError: it cannot be read.
    """
    runtime = await Runtime.open(settings)
    try:
        units = {
            network.name: await runtime.warm_ups.units(user_id, network.chain_id)
            for network in settings.fuel_networks
        }
    finally:
        await runtime.close()
    table = Table("network", "predicate", "state", "failures")
    for name, some in units.items():
        for unit in some or ():
            table.add_row(name, unit.address, unit.state.name.lower(), str(unit.failures))
    if table.row_count:
        console.print(table)
    else:
        console.print("no warm-up of the last ten minutes", highlight=False)
