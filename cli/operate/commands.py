"""The operator's commands, thin: each parses what was typed and calls its part.

Each imports what it needs when it is called, as in `cli.commands`.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from typing import Annotated

import typer

from cli.operate.by import By
from cli.operate.opened import addresses, run
from cli.output import ChainOption, JsonOption, console, print_json
from config.settings import current_settings
from domain.errors import InvalidValueError

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="A vault: 0x and 64 hex digits, or fuel1…")
]
AddressesArgument = Annotated[list[str] | None, typer.Argument(metavar="ADDRESS", help="Vaults.")]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Wait until they are fresh, so many seconds at most.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every vault; done by the workers.")]


def doctor_command(as_json: JsonOption = False) -> None:
    """Look at everything that the service needs, and say what is wrong and what to do.

    Redis and its eviction policy, the database and its indexes, the broker, lanes, workers and
    beat, the nodes (chain id, height, lag), the followers, the clock, Bako's session keys, dead
    letters. Changes nothing. Exit code 1 if something is wrong.
    """
    from cli.operate import doctor
    from cli.operate.findings import has_wrong

    findings = run(doctor.examine)
    if as_json:
        print_json(doctor.as_json(findings))
    else:
        doctor.print_findings(console(), findings)
    if has_wrong(findings):
        raise typer.Exit(1)


def inspect_command(
    address: AddressArgument, chain: ChainOption = None, as_json: JsonOption = False
) -> None:
    """Show everything that is held of one vault: balances, lives, flags, heights, lease, heat.

    Fetches nothing and counts as no read.
    """
    from cli.operate import inspecting

    [vault] = addresses([address])
    views = run(lambda runtime: inspecting.look(runtime, vault, chain))
    if as_json:
        print_json(inspecting.as_json(vault, views))
    else:
        inspecting.print_views(console(), vault, views)


def why_command(
    address: AddressArgument, chain: ChainOption = None, as_json: JsonOption = False
) -> None:
    """Say why a vault is stale: who invalidated it, what failed since, and what to do.

    The events come in order, for a day back: publishes, invalidations and their authors
    (a transaction, the follower, an operator), fetches that failed, answers that were refused.
    """
    from cli.operate import why

    [vault] = addresses([address])
    stories = run(lambda runtime: why.explain(runtime, vault, chain))
    if as_json:
        print_json(why.as_json(vault, stories))
    else:
        why.print_stories(console(), vault, stories)


def warm_command(
    *,
    vaults: AddressesArgument = None,
    user: Annotated[str | None, typer.Option(help="All vaults of this user, by his id.")] = None,
    chain: ChainOption = None,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Have vaults fetched by the workers, as a login does. What is fresh is skipped."""
    from cli.operate import changing
    from cli.operate.done import finish

    wish = changing.Wish(addresses(vaults or []), chain, wait, quiet=as_json)
    finish("warm-up", run(lambda runtime: changing.warm(runtime, wish, user)), as_json=as_json)


def invalidate_command(
    *,
    vaults: AddressesArgument = None,
    chain: ChainOption = None,
    height: Annotated[
        int | None, typer.Option(min=0, help="Believe no node below this block height.")
    ] = None,
    everything: AllOption = False,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Declare the balances of vaults wrong, as a confirmed transaction does; they are refilled.

    Readers get the last known balances, marked, until the refill is done. With --all the workers
    walk through all vaults; those are fetched as they are read.
    """
    from cli.operate import changing
    from cli.operate.done import ask, finish

    wish = changing.Wish(addresses(vaults or []), chain, wait, quiet=as_json)
    _one_of(wish.vaults, everything=everything)
    if everything:
        if height is not None:
            raise InvalidValueError("--height does not go with --all")
        ask("Declare the balances of every vault wrong?", yes=yes)
        done = run(lambda r: changing.everything(r, changing.ALL_TASKS["invalidate"], chain))
    else:
        done = run(lambda runtime: changing.invalidate(runtime, wish, height))
    finish("invalidation", done, as_json=as_json)


def clear_command(
    *,
    vaults: AddressesArgument = None,
    chain: ChainOption = None,
    everything: AllOption = False,
    refill: Annotated[
        bool, typer.Option("--refill/--no-refill", help="Have them fetched anew at once.")
    ] = True,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Forget what is known of vaults, the last known balances too, and fetch them anew.

    Until they are fetched a reader waits for the node. Their history goes too.
    With --all the workers walk through all vaults, and nothing is fetched before it is read.
    """
    from cli.operate import changing
    from cli.operate.done import ask, finish

    wish = changing.Wish(addresses(vaults or []), chain, wait, quiet=as_json)
    _one_of(wish.vaults, everything=everything)
    if everything:
        ask("Forget the balances of every vault, the last known too?", yes=yes)
        done = run(lambda r: changing.everything(r, changing.ALL_TASKS["clear"], chain))
    else:
        done = run(lambda runtime: changing.clear(runtime, wish, refill=refill))
    finish("clearing", done, as_json=as_json)


def top_command(
    by: Annotated[By | None, typer.Argument(help="One list alone.")] = None,
    chain: ChainOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows of each list.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the vaults that are read most, those of them that are stale, what fails, what is slow.

    Looks at the 2,000 vaults that were read last on each chain, and at the last 200 failures.
    """
    from cli.operate import top

    found = run(lambda runtime: top.find(runtime, chain, limit))
    if as_json:
        print_json(top.as_json(found, by))
    else:
        top.print_top(console(), found, by)


def queues_command(
    watch: Annotated[bool, typer.Option("--watch", help="Every second, until Ctrl-C.")] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Every second, until nothing waits any more.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what waits in each lane, for how long, and which workers take from it."""
    from cli.operate import lanes, queues

    settings = current_settings()
    if watch or drain:
        queues.watch(settings, console(), as_json=as_json, until_empty=drain)
        return
    force, staffed = lanes.look(settings)
    if as_json:
        print_json({"broker": force.kind, "lanes": staffed})
        return
    console().print(queues.as_table(staffed))
    for lane in staffed:
        if not lane.workers:
            console().print(f"nobody takes from {lane.state.lane}")


def stats_command(
    count_keys: Annotated[
        bool,
        typer.Option("--count-keys", help="Look at all keys, a thousand at a time (SCAN)."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what all processes counted: hits, misses, publishes, invalidations, keys."""
    from cli.operate import stats

    found = run(lambda r: stats.gather(r, count_keys=count_keys, quiet=as_json))
    if as_json:
        print_json(found)
    else:
        stats.print_stats(console(), found)


def bench_command(
    chain: ChainOption = None,
    vaults: Annotated[int, typer.Option(help="Vaults in one read.")] = 10,
    readers: Annotated[int, typer.Option(help="Readers at one time.")] = 8,
    seconds: Annotated[float, typer.Option(help="How long.")] = 3.0,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast the cache answers this machine. Writes nothing, asks no node.

    What this project publishes is measured elsewhere: `make bench-NAME` in its sources.
    """
    from cli.operate import bench

    chain_id = current_settings().fuel_networks[0].chain_id if chain is None else chain
    figures = run(
        lambda r: bench.measure(r, chain_id, vaults=vaults, readers=readers, seconds=seconds)
    )
    if as_json:
        print_json(figures)
    else:
        bench.print_figures(console(), figures)


def _one_of(vaults: object, *, everything: bool) -> None:
    """Refuse an order about nothing, or about two things.

    Raises:
        InvalidValueError: so it is.
    """
    if everything == bool(vaults):
        raise InvalidValueError("give addresses, or --all")
