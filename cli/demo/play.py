"""Plays the whole demo: starts the system, takes the five steps, shows and returns the figures."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import randbelow
from typing import Self

from rich.console import Console

from cli.children import Child
from cli.demo import steps
from cli.demo.figures import Figures
from cli.demo.stage import Ports, Stage, set_stage
from cli.demo.timeline import Timeline
from cli.given import check_given
from cli.seed import seed_registry
from cli.system import NODE_LATENCY_MS, System, wait_answering, wait_consuming
from config.settings import Settings
from registry.seed import SeededUser
from supervisor.ports import free_port

DEMO_LIVES = {
    # Short lives, so that nobody waits ten minutes to see an entry get old.
    "BALANCE_CACHE_TTL": "12",
    "REFRESH_AHEAD_SECONDS": "5",
    "REFRESH_INTERVAL_SECONDS": "1",
    "ENABLE_BALANCE_CACHE": "true",
    # Each step counts all that the nodes are asked; a follower asks them twice a second.
    "FOLLOW_ENABLED": "false",
    "WARMUP_ENABLED": "true",
    "WARMUP_SKIP_CACHED": "true",
    "WARMUP_MAX_PREDICATES": "20",
    "LOG_LEVEL": "INFO",
}


async def play(given: Settings, console: Console) -> Figures:
    """Play the demo and return what it measured.

    Raises:
        ConfigurationError: a service that the environment names cannot be used.
        StepFailedError: a step did not hold.
        ChildEndedError: a program of the system ended or did not start.
    """
    await check_given(given, simulate=True)
    timeline = Timeline(console)
    timeline.title("starting cache, broker, database, two nodes, worker, beat and API")
    _say_what_is_given(given, timeline)
    with System(given, overrides=DEMO_LIVES) as system:
        programs = _Programs.start(system)
        # Vaults of this run alone, so that a cache in use holds nothing of an earlier one.
        user = await seed_registry(system.settings, randbelow(2**31))
        programs.wait(system, timeline)
        async with set_stage(system, user, timeline, programs.ports) as stage:
            try:
                return await _take_steps(stage)
            finally:
                await _forget(stage, user)


def _say_what_is_given(given: Settings, timeline: Timeline) -> None:
    """Name the services that stand in for embedded ones, and what is left in them."""
    for name, remark in (
        ("redis_url", "is the cache, for chain ids that nobody else has"),
        ("celery_broker_url", "is the broker"),
        ("database_url", "gets a user with ten invented vaults, who stays there"),
        ("fuel_networks", "is not asked: the demo simulates its nodes"),
    ):
        if name in given.model_fields_set:
            timeline.say(f"{name.upper()} {remark}")


@dataclass(frozen=True, slots=True)
class _Programs:
    """What was started, before it is known to be ready."""

    worker: Child
    uncached_api: Child
    api: Child
    ports: Ports

    @classmethod
    def start(cls, system: System) -> Self:
        """Start all programs at once, so that they start side by side."""
        ports = Ports(uncached=free_port(), cached=free_port())
        return cls(
            worker=system.start_worker(),
            uncached_api=system.start_api(
                "api-without-cache", ports.uncached, ENABLE_BALANCE_CACHE="false"
            ),
            api=system.start_api("api", ports.cached),
            ports=ports,
        )

    def wait(self, system: System, timeline: Timeline) -> None:
        """Wait until everything is ready, and start beat."""
        apis = {self.uncached_api: self.ports.uncached, self.api: self.ports.cached}
        with timeline.waiting("starting programs", len(apis) + 2) as advance:
            system.wait_for_nodes()
            advance(1)
            for done, (api, port) in enumerate(apis.items(), start=2):
                wait_answering(system.children, api, f"http://127.0.0.1:{port}/ready")
                advance(done)
            wait_consuming(system.children, self.worker)
        system.start_beat()
        timeline.say(f"all running; each node takes {NODE_LATENCY_MS} ms for a request")


async def _take_steps(stage: Stage) -> Figures:
    timeline = stage.timeline
    timeline.title("1. the dashboard without cache")
    before = await steps.load_without_cache(stage)
    timeline.say(f"{before.node_calls} node calls, {before.seconds:.2f} s")
    timeline.title("2. login: balances.warm_user")
    warmup = await steps.log_in(stage)
    timeline.say(
        f"{warmup.predicates} vaults warm on {len(stage.nodes)} networks in "
        f"{warmup.seconds:.2f} s, {warmup.node_requests} node requests"
    )
    timeline.title("3. the dashboard with cache")
    after = await steps.load_with_cache(stage)
    timeline.say(f"{after.node_calls} node calls, {after.seconds:.3f} s")
    timeline.title("4. a transaction between two vaults: balances.invalidate")
    transaction = await steps.confirm_transaction(stage)
    timeline.say(
        f"both right {transaction.seconds_until_right:.2f} s after the confirmation; "
        f"{transaction.stale_reads} stale reads"
    )
    timeline.title("5. nobody asks: balances.refresh_due by beat")
    refresh = await steps.wait_for_refresh(stage)
    timeline.say(f"{refresh.refreshed} vaults refreshed, none of them read")
    figures = Figures(before, warmup, after, transaction, refresh)
    timeline.table(figures)
    return figures


async def _forget(stage: Stage, user: SeededUser) -> None:
    """Leave no balances of invented vaults behind in a cache that others use."""
    await stage.cache.clear(user.addresses)
