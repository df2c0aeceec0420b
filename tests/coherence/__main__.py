"""`make check-coherence N=…`: the law in every small interleaving and in N drawn ones."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.coherence.checking import Findings
from tests.coherence.drawing import Stage
from tests.coherence.jobs import drawn, every_order, play_again
from tests.coherence.workers import play_all, private_server

_EXHAUSTIVE_FROM = 10_000
"""Who asks for fewer interleavings wants a quick look: without the exhaustive part."""

_WORKERS_PER_CORE = 2
"""While one waits for its server's answer another one works."""

_TOLD_EVERY = 100
"""Into a file goes a line for so many portions."""


def main() -> int:
    arguments = _arguments()
    console = Console(stderr=True)
    if arguments.run:
        found = _again(arguments.run)
        if found.first is not None:
            _tell(found, console)
        return _conclude(found, f"run {arguments.run}")
    found = _all(arguments.count, arguments.seed, arguments.workers, console)
    return _conclude(found, f"seed {arguments.seed}")


def _again(name: str) -> Findings:
    with private_server() as where:
        stage = Stage.open(where)
        try:
            return play_again(name, stage)
        finally:
            stage.close()


def _all(count: int, seed: int, workers: int, console: Console) -> Findings:
    found = Findings()
    jobs = every_order() if count >= _EXHAUSTIVE_FROM else []
    jobs += drawn(count, seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    done = 0
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        portions = progress.add_task("portions", total=len(jobs))

        def note(some: Findings) -> None:
            nonlocal done
            done += 1
            found.add(some)
            interleavings = f"{found.interleavings} interleavings, {found.violating} violations"
            progress.update(portions, completed=done, description=interleavings)
            if not console.is_terminal and done % _TOLD_EVERY == 0:
                console.print(f"{done} of {len(jobs)} portions: {interleavings}")
            if some.first is not None:
                _tell(some, console)

        play_all(jobs, workers, note)
    return found


def _tell(some: Findings, console: Console) -> None:
    """Say what was wrong, and how to see it again."""
    assert some.first is not None
    console.print("violation:", *some.first)
    for name in some.runs:
        console.print(f"    make check-coherence AGAIN='{name}'")


def _conclude(found: Findings, told: str) -> int:
    sys.stdout.write(
        f"{found.interleavings} interleavings, {found.fresh_reads} fresh reads checked "
        f"({found.copied_reads} of a copy or sent again), {found.violating} violations, {told}\n"
    )
    return 1 if found.violating else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check-coherence", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="drawn interleavings")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    parser.add_argument("--workers", type=int, default=_WORKERS_PER_CORE * (os.cpu_count() or 1))
    parser.add_argument("--run", help="play one run again, by the name that its violation told")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
