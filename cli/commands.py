"""The commands behind ``balance-cache``, thin: each loads the settings and calls its part.

Each imports what it needs when it is called: a program that serves the API need not load what
plays the demo, and the other way round.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from cli.errors import BrokenSystemError
from cli.output import JsonOption, console, print_json
from config.logging import configure_logging
from config.settings import current_settings
from domain.errors import BalanceCacheError, ConfigurationError

WithParent = Annotated[
    bool,
    typer.Option(
        "--with-parent", help="End when the program that started this ends, even if it is killed."
    ),
]


def demo_command(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with the figures as one line of JSON.")
    ] = False,
    with_parent: WithParent = False,
) -> None:
    """Play the main job on real parts: login, warm vaults, a transaction, right balances.

    Uses REDIS_URL, CELERY_BROKER_URL and DATABASE_URL where they are set, embedded servers
    otherwise. The nodes are simulated; in a cache that was given, under chain ids that nobody else
    has. Not beside the workers of others. Exit code 0 only if each step held.
    """
    import httpx
    from rich.console import Console

    from cli.demo.play import play
    from cli.ending import end_in_order

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    end_in_order(with_parent=with_parent)
    try:
        figures = asyncio.run(play(settings, Console(stderr=as_json)))
    except ConfigurationError:
        raise
    except (BalanceCacheError, httpx.HTTPError) as error:
        _tell(f"the demo did not hold: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _tell("stopped")
        raise typer.Exit(130) from None
    if as_json:
        print(figures.as_json())  # noqa: T201 - the result


def up_command(*, with_parent: WithParent = False) -> None:
    """Start everything on loopback, with Flower, and run until Ctrl-C.

    Uses REDIS_URL, CELERY_BROKER_URL, DATABASE_URL and FUEL_NETWORKS where they are set,
    embedded servers and simulated nodes otherwise.
    """
    from rich.console import Console

    from cli.ending import end_in_order
    from cli.up import run_until_stopped

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    end_in_order(with_parent=with_parent)
    try:
        run_until_stopped(settings, Console())
    except BrokenSystemError as error:
        _tell(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _tell("stopped")


def seed_command(
    devnet: Annotated[
        str | None, typer.Option(help="A simulated node's origin: http://host:port")
    ] = None,
    user: Annotated[int, typer.Option(help="The same number is the same user.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Add a user with ten vaults to DATABASE_URL, and say how to ask for his balances.

    Tables are created in a database that has none. With --devnet the vaults get coins there.
    A second call with the same number changes nothing in the database.
    """
    from rich.console import Console

    from cli import seed

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    seeded = asyncio.run(seed.seed(settings, number=user, devnet=devnet))
    if as_json:
        print_json(seed.as_json(seeded))
    else:
        seed.print_seeded(Console(), seeded)


def api_command() -> None:
    """Serve the read API (API_HOST, API_PORT)."""
    from api.server import serve
    from cli.demo.payer import SimulatedPayer
    from tasks.lanes import open_lanes
    from tasks.publisher import open_publisher

    settings = current_settings()
    configure_logging(settings.log_level)
    payer = SimulatedPayer() if settings.demo_page else None
    serve(settings, open_publisher(settings), open_lanes(settings), payer)


def config_command(as_json: JsonOption = False) -> None:
    """Show the effective settings and where each comes from, with secrets masked."""
    from cli import show_config

    settings = current_settings()
    if as_json:
        print_json(show_config.as_json(settings))
    else:
        show_config.print_config(settings, console())


def list_dead_letters_command(as_json: JsonOption = False) -> None:
    """List messages that nobody could work on: refused, broken, or deadly to their process."""
    from cli.dead_letters import list_dead_letters, print_dead_letters

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    letters = asyncio.run(list_dead_letters(settings))
    if as_json:
        print_json(letters)
    else:
        print_dead_letters(letters, console())


def replay_dead_letters_command(as_json: JsonOption = False) -> None:
    """Publish all of them again; those that fail again come back to the list."""
    from cli.dead_letters import replay_dead_letters

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    count = asyncio.run(replay_dead_letters(settings))
    if as_json:
        print_json({"replayed": count})
    else:
        console().print(f"{count} dead letters replayed")


def warm_up_command(
    user_id: Annotated[str, typer.Argument(help="The user who has logged in.")],
    as_json: JsonOption = False,
) -> None:
    """Show how far each predicate of a user's last login is: waiting, fetching, done, failed."""
    from cli import warm_up

    settings = current_settings()
    configure_logging("WARNING", as_json=False)
    units = asyncio.run(warm_up.units_of(settings, user_id))
    if as_json:
        print_json(warm_up.as_json(units))
    else:
        warm_up.print_units(console(), units)


def _tell(text: str) -> None:
    print(f"balance-cache: {text}", file=sys.stderr)  # noqa: T201 - the documented way out
