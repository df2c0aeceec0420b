"""`make check-coherence N=…`: the law in every small interleaving and in N drawn ones."""

from __future__ import annotations

import argparse
import secrets
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.progress import Progress

from supervisor.valkey import EmbeddedServer
from tests.coherence.checking import Findings, check_drawn, explore
from tests.coherence.copy_scenarios import COPIED_SMALL
from tests.coherence.copying import OursCopied, Wire
from tests.coherence.scenarios import LARGE, OURS_SMALL, SMALL
from tests.coherence.stepping import PlainServer
from tests.coherence.systems import ours_on_redis, the_twin

_EXHAUSTIVE_FROM = 10_000
"""Who asks for fewer interleavings wants a quick look: without the exhaustive part."""


def main() -> int:
    arguments = _arguments()
    console = Console(stderr=True)
    server = EmbeddedServer.start()
    try:
        plain = PlainServer(server.port)
        found = []
        if arguments.count >= _EXHAUSTIVE_FROM:
            found += _exhaustively(plain, console)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("drawn interleavings", total=arguments.count)
            found.append(
                check_drawn(
                    arguments.count,
                    arguments.seed,
                    plain,
                    lambda done: progress.update(task, completed=done),
                )
            )
        plain.close()
    finally:
        server.stop()
    return _conclude(found, arguments.seed, console)


def _exhaustively(server: PlainServer, console: Console) -> list[Findings]:
    found = []
    for scenario in (*SMALL, *OURS_SMALL, *LARGE):
        found.append(explore(scenario, ours_on_redis, server))
        console.print(f"every schedule of {scenario.name!r}: {found[-1].interleavings}")
    wire = Wire(server.port)
    for scenario in COPIED_SMALL:
        found.append(explore(scenario, partial(OursCopied, wire), server))
        console.print(f"every schedule of {scenario.name!r}, copied: {found[-1].interleavings}")
    wire.close()
    return [*found, *(explore(scenario, the_twin, None) for scenario in SMALL)]


def _conclude(found: list[Findings], seed: int, console: Console) -> int:
    for findings in found:
        if findings.first is not None:
            console.print("shortest violation:", *findings.first, "seeds:", *findings.seeds[:10])
    interleavings = sum(findings.interleavings for findings in found)
    violating = sum(findings.violating for findings in found)
    fresh = sum(findings.fresh_reads for findings in found)
    copied = sum(findings.copied_reads for findings in found)
    sys.stdout.write(
        f"{interleavings} interleavings, {fresh} fresh reads checked ({copied} of a copy), "
        f"{violating} violations, seed {seed}\n"
    )
    return 1 if violating else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check-coherence", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="drawn interleavings")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
