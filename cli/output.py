"""What commands print: tables and colours for people, one line of JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one line of JSON instead, for programs.")
]
ChainOption = Annotated[
    int | None, typer.Option("--chain", help="A chain id; without it every configured network.")
]

_WIDE = 200
"""Columns where nobody looks: a line that is cut or folded is of no use to `grep`."""


def console(*, errors: bool = False) -> Console:
    """Return where to print; colours only on a terminal, and never with NO_COLOR."""
    plain = Console(stderr=errors, highlight=False)
    if plain.is_terminal or "COLUMNS" in os.environ:
        return plain
    return Console(stderr=errors, highlight=False, width=_WIDE)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(_plain(value), ensure_ascii=False), flush=True)  # noqa: T201 - the result


def _plain(value: Any) -> Any:
    """Return dataclasses, enums and mappings as JSON knows them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain(fields)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table without frills; an empty title or row of headings is left out."""
    made = Table(
        title=title or None,
        show_header=any(headings),
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


@contextmanager
def progress(what: str, total: int | None, *, quiet: bool = False) -> Iterator[Any]:
    """Show a bar on standard error while work goes on, if somebody looks.

    Yields a function that is told how much is done.
    """
    shown = console(errors=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=shown, transient=True, disable=quiet or not shown.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def clock_time(at_ms: int) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def span(seconds: float | None) -> str:
    """Return a length of time for people: 0.5 s, 42 s, 3 min, 2 h, 5 d."""
    if seconds is None:
        return "-"
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004 - two digits


def short(address: str) -> str:
    """Return an address that fits into a table; 12 digits tell vaults apart."""
    return f"{address[:10]}…{address[-4:]}"
