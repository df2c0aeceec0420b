"""``balance-cache``: the command line. Errors are one line on standard error, exit code 2."""

from __future__ import annotations

import sys

import typer

from cli.commands import (
    api_command,
    config_command,
    demo_command,
    list_dead_letters_command,
    replay_dead_letters_command,
    seed_command,
    up_command,
    warm_up_command,
)
from devnet.__main__ import devnet_command
from domain.errors import BalanceCacheError

app = typer.Typer(
    name="balance-cache",
    help="Keeps the balances of Fuel vaults in Redis, correct and warm.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo_command)
app.command("up")(up_command)
app.command("api")(api_command)
app.command("devnet")(devnet_command)
app.command("seed")(seed_command)
app.command("config")(config_command)
app.command("warm-up")(warm_up_command)

dead_letters = typer.Typer(help="Messages that nobody could work on.", no_args_is_help=True)
dead_letters.command("list")(list_dead_letters_command)
dead_letters.command("replay")(replay_dead_letters_command)
app.add_typer(dead_letters, name="dead-letters")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BalanceCacheError as error:
        print(f"balance-cache: {error}", file=sys.stderr)  # noqa: T201 - the documented way out
        sys.exit(2)


if __name__ == "__main__":
    main()
