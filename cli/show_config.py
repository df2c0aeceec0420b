"""``balance-cache config``: what this process would run with."""

from __future__ import annotations

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from config.settings import Settings, origin
from domain.networks import Network, without_credentials


def print_config(settings: Settings, console: Console) -> None:
    """Print every variable, its effective value, and where that comes from."""
    table = Table(box=None, pad_edge=False)
    for heading in ("variable", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name in type(settings).model_fields:
        table.add_row(name.upper(), shown(getattr(settings, name)), origin(settings, name))
    console.print(table)


def as_json(settings: Settings) -> dict[str, object]:
    """Return the same for programs."""
    return {
        name.upper(): {"value": shown(getattr(settings, name)), "from": origin(settings, name)}
        for name in type(settings).model_fields
    }


def shown(value: object) -> str:
    """Return a setting for people: no password, no key, no credentials inside an address."""
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, Network):
        urls = ", ".join(without_credentials(url) for url in value.urls)
        return f"{value.chain_id} {value.name}: {urls}"
    if isinstance(value, tuple):
        return "\n".join(shown(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and "://" in value:
        return without_credentials(value)
    return "" if value is None else str(value)
