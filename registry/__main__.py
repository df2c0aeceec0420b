"""``python -m registry``: what an operator does to the database, once."""

from __future__ import annotations

import argparse
import asyncio
import sys

from config.settings import current_settings
from domain.errors import BalanceCacheError
from registry import migrate
from registry.store import Registry

_ACTIONS = ("create-schema", "add-indexes", "remove-indexes")


def main(arguments: list[str] | None = None) -> int:
    """Run one action on DATABASE_URL and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__)
    parser.add_argument(
        "action",
        choices=_ACTIONS,
        help="create-schema: all tables, in an empty database; add-indexes, remove-indexes: "
        "what a Bako database lacks for our queries, without blocking its writers",
    )
    action: str = parser.parse_args(arguments).action
    try:
        asyncio.run(_run(action, current_settings().database_url))
    except BalanceCacheError as error:
        print(f"registry: {error}", file=sys.stderr)  # noqa: T201 - the documented way out
        return 2
    return 0


async def _run(action: str, database_url: str) -> None:
    if action == "add-indexes":
        await migrate.add_indexes(database_url)
    elif action == "remove-indexes":
        await migrate.remove_indexes(database_url)
    else:
        registry = Registry.open(database_url)
        try:
            await registry.create_schema()
        finally:
            await registry.close()


if __name__ == "__main__":
    sys.exit(main())
