"""``balance-cache``: the command line.

Errors are one line on standard error. Exit code 2: what was typed or configured is wrong. Exit
code 1: it is right, and something that it needs does not work.
"""

from __future__ import annotations

import sys

import typer

from cli import commands
from cli.operate import commands as operate
from devnet.__main__ import devnet_command
from domain.errors import (
    BalanceCacheError,
    BrokerUnavailableError,
    CacheUnavailableError,
    ProviderError,
    PublishingError,
    RegistryUnavailableError,
)

_NOT_THE_CALLERS_FAULT = (
    BrokerUnavailableError,
    CacheUnavailableError,
    ProviderError,
    PublishingError,
    RegistryUnavailableError,
)
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""Click's error of what was typed, which typer does not name."""

_RUN, _LOOK, _MEND = "Run it", "Look at it", "Mend it"

app = typer.Typer(
    name="balance-cache",
    help="""Keeps the balances of Fuel vaults in Redis, correct and warm.

    Settings are environment variables: see `balance-cache config`. What to do when something is
    wrong: `balance-cache doctor`, `balance-cache why ADDRESS`. Commands with --json print one line
    for programs. Exit code 2: wrong arguments or settings; 1: something does not work.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo", rich_help_panel=_RUN)(commands.demo_command)
app.command("up", rich_help_panel=_RUN)(commands.up_command)
app.command("api", rich_help_panel=_RUN)(commands.api_command)
app.command("devnet", rich_help_panel=_RUN)(devnet_command)
app.command("seed", rich_help_panel=_RUN)(commands.seed_command)

app.command("doctor", rich_help_panel=_LOOK)(operate.doctor_command)
app.command("why", rich_help_panel=_LOOK)(operate.why_command)
app.command("inspect", rich_help_panel=_LOOK)(operate.inspect_command)
app.command("top", rich_help_panel=_LOOK)(operate.top_command)
app.command("queues", rich_help_panel=_LOOK)(operate.queues_command)
app.command("stats", rich_help_panel=_LOOK)(operate.stats_command)
app.command("config", rich_help_panel=_LOOK)(commands.config_command)
app.command("bench", rich_help_panel=_LOOK)(operate.bench_command)

app.command("warm-up", rich_help_panel=_LOOK)(commands.warm_up_command)
app.command("warm", rich_help_panel=_MEND)(operate.warm_command)
app.command("invalidate", rich_help_panel=_MEND)(operate.invalidate_command)
app.command("clear", rich_help_panel=_MEND)(operate.clear_command)

dead_letters = typer.Typer(help="Messages that nobody could work on.", no_args_is_help=True)
dead_letters.command("list")(commands.list_dead_letters_command)
dead_letters.command("replay")(commands.replay_dead_letters_command)
app.add_typer(dead_letters, name="dead-letters", rich_help_panel=_MEND)


def main() -> None:
    """Run the command line."""
    try:
        code = app(standalone_mode=False)
    except _NOT_THE_CALLERS_FAULT as error:
        _end(str(error), 1)
    except BalanceCacheError as error:
        _end(str(error), 2)
    except typer.Abort:
        _end("stopped", 130)
    except _USAGE_ERROR as error:
        _end_of_usage(error)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _end_of_usage(error: Exception) -> None:
    """Say what was typed wrongly, in one line; show the help where nothing was typed."""
    context = getattr(error, "ctx", None)
    message = str(getattr(error, "format_message", lambda: error)())
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help())  # noqa: T201 - the help
        sys.exit(2)
    command = context.command_path if context is not None else "balance-cache"
    _end(f"{' '.join(message.split())} (try: {command} --help)", 2)


def _end(text: str, code: int) -> None:
    line = " ".join(text.splitlines())
    print(f"balance-cache: {line}", file=sys.stderr)  # noqa: T201 - the documented way out
    sys.exit(code)


if __name__ == "__main__":
    main()
