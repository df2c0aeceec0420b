"""What a person sees: a timeline, a progress bar while something is waited for, a table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.demo.figures import Figures


class Advance(Protocol):
    """Tells how far a step has come."""

    def __call__(self, completed: int) -> None:
        """Show that many of the step's units as done."""
        ...


class Timeline:
    """Prints what happens, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one event."""
        seconds = time.monotonic() - self._started
        self._console.print(f"[dim]{seconds:6.2f} s[/dim]  {text}", highlight=False)

    def title(self, text: str) -> None:
        """Print a chapter's title."""
        self.say(f"[bold]{text}[/bold]")

    @contextmanager
    def waiting(self, text: str, total: int) -> Iterator[Advance]:
        """Show a bar for something that takes a while; it vanishes at the end."""
        columns = (TextColumn("          {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            bar = progress.add_task(text, total=total)

            def advance(completed: int) -> None:
                progress.update(bar, completed=completed)

            yield advance

    def table(self, figures: Figures) -> None:
        """Print before and after."""
        before, after = figures.before, figures.after
        table = Table(title="The dashboard of ten vaults", title_justify="left")
        for heading in ("", "without cache", "with cache"):
            table.add_column(heading, justify="left" if not heading else "right")
        table.add_row("time", f"{before.seconds:.2f} s", f"{after.seconds:.3f} s")
        table.add_row("node calls", str(before.node_calls), str(after.node_calls))
        self._console.print(table)
