"""``balance-cache up``: the whole system with Flower, until somebody stops it."""

from __future__ import annotations

import asyncio
import json
import time
from secrets import randbelow

from rich.console import Console

from cli.demo.nodes import SimulatedNode
from cli.demo.stage import BASE_ASSET, starting_coins
from cli.system import System, wait_answering, wait_consuming
from config.settings import Settings
from registry.seed import SeededUser
from supervisor.ports import free_port, is_listening

_WATCH_SECONDS = 0.5


def run_until_stopped(given: Settings, console: Console) -> None:
    """Start everything, say where it is, and watch it; only an exception ends this.

    Raises:
        ChildEndedError: a program ended by itself.
        KeyboardInterrupt: somebody stops us; everything is ended on the way out.
    """
    with System(given, simulate="fuel_networks" not in given.model_fields_set) as system:
        api_port, flower_port = _port(given, "api_port"), _port(given, "flower_port")
        worker = system.start_worker()
        api = system.start_api("api", api_port)
        flower = system.start_flower(flower_port)
        system.start_beat()
        system.wait_for_nodes()
        user = asyncio.run(_populate(system))
        wait_answering(system.children, api, f"http://127.0.0.1:{api_port}/health")
        wait_consuming(system.children, worker)
        system.children.wait_ready(flower, lambda: is_listening(flower_port))
        _say_what_to_try(console, system, user, api_port, flower_port)
        while True:
            system.children.check()
            time.sleep(_WATCH_SECONDS)


async def _populate(system: System) -> SeededUser:
    user = await system.seed(randbelow(2**31))
    for simulation in system.simulations:
        node = SimulatedNode(simulation)
        await node.give({address: starting_coins() for address in user.addresses})
        await node.close()
    return user


def _port(given: Settings, name: str) -> int:
    """Return the port that the environment names, else a free one."""
    port: int = getattr(given, name) if name in given.model_fields_set else 0
    return port or free_port()


def _say_what_to_try(
    console: Console, system: System, user: SeededUser, api_port: int, flower_port: int
) -> None:
    api = f"http://127.0.0.1:{api_port}"
    sender, receiver = user.addresses[:2]
    as_user = '  curl -H "Authorization: $TOKEN" -H "signeraddress: $USER"'
    lines = [
        f"API     {api}   (/docs lists all routes)",
        f"Flower  http://127.0.0.1:{flower_port}",
        *(f"node    {s.origin}/v1/graphql   {s.name}" for s in system.simulations),
        "",
        "Try, as the user who owns ten vaults:",
        "",
        f"  TOKEN={user.token}",
        f"  USER={user.user_address}",
        f"{as_user} {api}/user/allocation",
        f"{as_user} {api}/predicate/reserved-coins/{user.predicate_ids[0]}",
        f"  curl {api}/ready",
    ]
    for simulation in system.simulations[:1]:
        payment = {
            "from": sender,
            "to": receiver,
            "assetId": BASE_ASSET,
            "amount": "1000",
        }
        lines += [
            "",
            "A transaction between the first two vaults:",
            "",
            f"  curl {simulation.origin}/devnet/transfer --json '{json.dumps(payment)}'",
        ]
    lines += ["", "Ctrl-C ends everything."]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
