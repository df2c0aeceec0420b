"""Telling what became of an order, and asking before a large one."""

from __future__ import annotations

import sys

import typer

from cli.operate.changing import Done
from cli.output import console, print_json
from domain.errors import InvalidValueError


def ask(question: str, *, yes: bool) -> None:
    """Have a person say yes; a program says it by ``--yes``.

    Raises:
        InvalidValueError: nobody is there to be asked.
        Exit: he says no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidValueError("nobody is here to be asked: give --yes")
    if not typer.confirm(question):
        raise typer.Exit(1)


def finish(what: str, done: Done, *, as_json: bool) -> None:
    """Tell what was done.

    Raises:
        Exit: 1, something did not work, or not all is fresh at the end of the wait.
    """
    total = (done.vaults or 0) * len(done.chain_ids)
    late = done.fresh is not None and done.fresh < total
    if as_json:
        print_json(done)
    else:
        _print(what, done, total)
    if done.trouble or late:
        raise typer.Exit(1)


def _print(what: str, done: Done, total: int) -> None:
    shown = console()
    vaults = "all vaults" if done.vaults is None else f"{done.vaults} vaults"
    chains = ", ".join(str(chain_id) for chain_id in done.chain_ids)
    shown.print(f"{what} of {vaults} on chain {chains}")
    if done.keys is not None:
        shown.print(f"{done.keys} snapshots forgotten")
    for task_id in done.tasks:
        shown.print(f"task {task_id} is in its lane   (balance-cache queues --drain)")
    if done.fresh is not None:
        colour = "green" if done.fresh == total else "yellow"
        shown.print(f"[{colour}]{done.fresh} of {total} fresh[/]")
    if done.trouble:
        shown.print(f"[yellow]{done.trouble}[/]")
