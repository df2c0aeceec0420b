"""``balance-cache up``: the whole system with Flower, until somebody stops it."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from secrets import randbelow, token_hex

from rich.console import Console

from cli.demo.nodes import SimulatedNode
from cli.given import check_given
from cli.seed import BASE_ASSET, as_the_user, give_coins, seed_registry
from cli.system import Simulation, System, wait_answering, wait_consuming
from config.settings import Settings
from registry.seed import SeededUser
from supervisor.ports import free_port, is_listening

_WATCH_SECONDS = 0.5


def run_until_stopped(given: Settings, console: Console) -> None:
    """Start everything, say where it is, and watch it; only an exception ends this.

    Raises:
        ConfigurationError: a service that the environment names cannot be used.
        ChildEndedError: a program ended by itself.
        KeyboardInterrupt: somebody stops us; everything is ended on the way out.
    """
    simulate = "fuel_networks" not in given.model_fields_set
    asyncio.run(check_given(given, simulate=simulate))
    overrides = _internal_key(given) | _demo_page(given, simulate=simulate)
    with System(given, overrides=overrides, simulate=simulate) as system:
        api_port, flower_port = _port(given, "api_port"), _port(given, "flower_port")
        worker = system.start_worker()
        api = system.start_api("api", api_port)
        flower = system.start_flower(flower_port)
        system.start_beat()
        system.wait_for_nodes()
        user = asyncio.run(_populate(system))
        state = "ready" if system.simulations else "health"
        wait_answering(system.children, api, f"http://127.0.0.1:{api_port}/{state}")
        wait_consuming(system.children, worker)
        system.children.wait_ready(flower, lambda: is_listening(flower_port))
        _say_what_to_try(console, system, user, api_port, flower_port)
        while True:
            system.children.check()
            time.sleep(_WATCH_SECONDS)


def _internal_key(given: Settings) -> dict[str, str]:
    """Return a key for the internal routes, which are closed without one."""
    return {} if given.internal_api_keys else {"INTERNAL_API_KEY": token_hex(16)}


def _demo_page(given: Settings, *, simulate: bool) -> dict[str, str]:
    """Show the demo page where its transactions can be made, unless the environment decides."""
    return {"DEMO_PAGE": "true"} if simulate and "demo_page" not in given.model_fields_set else {}


async def _populate(system: System) -> SeededUser | None:
    """Add a user to look at, with coins on the simulated nodes.

    Not to a database that was given together with real networks: that one has its own users.
    """
    if not system.simulations and "database_url" in system.given.model_fields_set:
        return None
    user = await seed_registry(system.settings, randbelow(2**31))
    for simulation in system.simulations:
        await give_coins(SimulatedNode(simulation.origin), user.addresses)
    return user


def _port(given: Settings, name: str) -> int:
    """Return the port that the environment names, else a free one."""
    port: int = getattr(given, name) if name in given.model_fields_set else 0
    return port or free_port()


def _say_what_to_try(
    console: Console, system: System, user: SeededUser | None, api_port: int, flower_port: int
) -> None:
    api = f"http://127.0.0.1:{api_port}"
    page = []
    if system.settings.demo_page and user is not None:
        # After the #: a browser keeps it, and no log of a server ever has it.
        page = [f"Page    {api}/demo#token={user.token}&user={user.user_address}"]
    lines = [
        *page,
        f"API     {api}   (/docs lists all routes)",
        f"Flower  http://127.0.0.1:{flower_port}",
        *(f"node    {s.origin}/v1/graphql   {s.name}" for s in system.simulations),
        "",
        f"  curl {api}/ready",
        f"  curl {api}/metrics",
    ]
    if user is not None:
        lines += as_the_user(api, user)
        key = system.environment.get("INTERNAL_API_KEY", "one of yours")
        for simulation in system.simulations[:1]:
            lines += _a_transaction(api, simulation, user, key)
    lines += _look_inside(system)
    for line in [*lines, "", "Ctrl-C ends everything."]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _a_transaction(api: str, simulation: Simulation, user: SeededUser, key: str) -> list[str]:
    sender, receiver = user.addresses[:2]
    payment = {"from": sender, "to": receiver, "assetId": BASE_ASSET, "amount": "1000"}
    event = {"chainId": simulation.chain_id, "addresses": [sender, receiver]}
    curl = "  curl -H 'content-type: application/json'"
    tell = f'{curl} -H "X-API-Key: $KEY" {api}/internal/events/transaction'
    return [
        "",
        "A transaction between the first two vaults, and what an indexer tells us of it",
        '(with "blockHeight" from the first answer, nothing older is ever believed):',
        "",
        f"  KEY={key}",
        f"{curl} {simulation.origin}/devnet/transfer -d '{json.dumps(payment)}'",
        f"{tell} -d '{json.dumps(event)}'",
    ]


def _look_inside(system: System) -> list[str]:
    """Return what another terminal needs for `balance-cache doctor` and its like."""
    names = ("REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL", "FUEL_NETWORKS", "INTERNAL_API_KEY")
    known = {name: system.environment[name] for name in names if name in system.environment}
    return [
        "",
        "In another terminal, to look at it with balance-cache doctor, top, why ADDRESS:",
        "",
        *(f"  export {name}={shlex.quote(value)}" for name, value in known.items()),
    ]
