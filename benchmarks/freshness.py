"""Freshness for node calls: the adaptive schedule beside a fixed TTL, over a day of traffic.

``make bench-freshness`` runs it (some minutes), writes benchmarks/results/freshness.json and the
charts of docs/refresh.md. What is real and what is simulated: see benchmarks/simulated_day.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.common import refuse, save
from benchmarks.plot import Chart, Line
from benchmarks.simulated_day import Outcome, Policy, Way, play
from benchmarks.traffic import VAULTS_OF_A_USER, Traffic, day_of_traffic

IMAGES = Path(__file__).parents[1] / "docs" / "images"
LIVES = (1200, 600, 300, 120, 60)
BUDGETS = (0.25, 0.5, 1, 2, 4, 8)
FRESH_SECONDS = 600
MINUTES = 1440
POLICIES = (
    *(Policy(Way.TTL, life) for life in LIVES),
    *(Policy(Way.AHEAD, life) for life in LIVES),
    *(Policy(Way.ADAPTIVE, FRESH_SECONDS, budget) for budget in BUDGETS),
)


def calls_per_minute(outcome: Outcome) -> float:
    """Return all node requests of a day, by minute."""
    return sum(outcome.calls.values()) / MINUTES


def check(outcome: Outcome, traffic: Traffic) -> None:
    """End the run when a read was lost, or the budget was overdrawn."""
    policy = outcome.policy
    if outcome.reads != len(traffic.views) * VAULTS_OF_A_USER:
        refuse(f"{policy}: {outcome.reads} reads")
    allowed = policy.calls_per_minute * MINUTES + policy.rules.calls_at_once
    if policy.way is Way.ADAPTIVE and outcome.calls["refresh"] > allowed:
        refuse(f"{policy}: {outcome.calls['refresh']} refreshes")


def row(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of one day."""
    policy, calls = outcome.policy, sum(outcome.calls.values())
    return {
        "way": policy.way.value,
        "fresh_seconds": policy.fresh_seconds,
        "budget_per_minute": policy.calls_per_minute or None,
        "right_percent": round(100 * outcome.right / outcome.reads, 2),
        "wrong_per_thousand": round(1000 * outcome.wrong / outcome.reads, 2),
        "waited_percent": round(100 * outcome.waited / outcome.reads, 2),
        "calls_per_minute": round(calls_per_minute(outcome), 2),
        "right_reads_per_call": round(outcome.right / calls, 1),
        "calls": dict(outcome.calls),
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table("way", "TTL s", "budget /min", "calls /min", "right %", "wrong ‰", "waited %")
    table.add_column("right reads a call")
    for one in rows:
        table.add_row(
            one["way"],
            f"{one['fresh_seconds']:g}",
            "-" if one["budget_per_minute"] is None else f"{one['budget_per_minute']:g}",
            f"{one['calls_per_minute']:.1f}",
            f"{one['right_percent']:.1f}",
            f"{one['wrong_per_thousand']:.1f}",
            f"{one['waited_percent']:.1f}",
            f"{one['right_reads_per_call']:.0f}",
        )
    Console().print(table)


def draw(outcomes: Sequence[Outcome]) -> None:
    """Write the two charts."""
    right = partial(lines, outcomes, lambda one: 100 * one.right / one.reads)
    wrong = partial(lines, outcomes, lambda one: 1000 * one.wrong / one.reads)
    x_ticks, x_label = (2, 5, 10, 20, 50), "node requests a minute, all together"
    charts = {
        "freshness": Chart(
            "Reads answered at once, and right",
            x_label,
            "% of reads",
            x_ticks,
            (40, 50, 60, 70, 80, 90, 100),
            right(),
        ),
        "wrong-reads": Chart(
            "Reads of balances that had changed, unannounced",
            x_label,
            "of 1000 reads",
            x_ticks,
            (0, 2, 4, 6, 8, 10, 12, 14),
            wrong(),
        ),
    }
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, chart in charts.items():
        (IMAGES / f"{name}.svg").write_text(chart.draw(), encoding="utf-8")


def lines(outcomes: Sequence[Outcome], value: Callable[[Outcome], float]) -> list[Line]:
    """Return a curve for each way; beside each point stands its TTL or its budget."""
    curves = []
    for way in Way:
        points = [
            (
                calls_per_minute(one),
                value(one),
                f"{one.policy.calls_per_minute:g}/min"
                if way is Way.ADAPTIVE
                else f"{one.policy.fresh_seconds:g} s",
            )
            for one in outcomes
            if one.policy.way is way
        ]
        curves.append(Line(way.value, points))
    return curves


def main(
    vaults: Annotated[int, typer.Option(help="Vaults; ten belong to each user.")] = 100_000,
    sessions: Annotated[int, typer.Option(help="Sessions in the day.")] = 6_000,
    seed: Annotated[int, typer.Option(help="Of traffic and changes.")] = 1,
    processes: Annotated[int, typer.Option(help="How many days are played at once.")] = 2,
) -> None:
    """Play the same day under each policy, print a table, and draw the curves."""
    traffic = day_of_traffic(vaults, sessions, seed)
    one_day = partial(play, traffic=traffic, seed=seed)
    with ProcessPoolExecutor(processes) as pool:
        played = pool.map(one_day, POLICIES)
        outcomes = list(track(played, "playing days", total=len(POLICIES)))
    for outcome in outcomes:
        check(outcome, traffic)
    rows = [row(outcome) for outcome in outcomes]
    show(rows)
    draw(outcomes)
    path = save(
        "freshness",
        {
            "vaults": vaults,
            "sessions": sessions,
            "views": len(traffic.views),
            "reads": outcomes[0].reads,
            "seed": seed,
            "days": rows,
        },
    )
    print(f"written: {path.relative_to(path.parents[2])} and docs/images/*.svg")


if __name__ == "__main__":
    typer.run(main)
