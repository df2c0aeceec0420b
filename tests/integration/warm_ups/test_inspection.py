"""Operators see each vault of a login with its state and its failures."""

from __future__ import annotations

from io import StringIO
from uuid import uuid4

from rich.console import Console

from cache.warm_ups import Shelf, UnitState, WarmUpUnit
from cli.warm_up import as_json, print_units, units_of
from config.settings import Settings
from domain.networks import Network
from supervisor.valkey import EmbeddedServer
from tests.warm_up_support import Make, addresses


async def test_operators_see_each_vault_with_its_state_and_its_failures(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    done, refused, again, fetching = addresses(4)
    await warm_ups.note_logins({"ada": addresses(4)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", [done, refused, again])
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=[done], given_up=[refused], again=[again])
    await warm_ups.offer(shelf, "another", [fetching])
    await warm_ups.take(shelf, "another part")

    assert await warm_ups.units("ada", shelf.chain_id) == [
        WarmUpUnit(done, UnitState.DONE, 0),
        WarmUpUnit(refused, UnitState.FAILED, 0),
        WarmUpUnit(again, UnitState.WAITING, 1),
        WarmUpUnit(fetching, UnitState.FETCHING, 0),
    ]
    assert await warm_ups.units("nobody", shelf.chain_id) is None


async def test_the_command_line_shows_each_vault_of_a_login(
    make: Make, cache_server: EmbeddedServer
) -> None:
    network = Network(uuid4().int % 2**63, "mainnet", ("http://127.0.0.1:1/v1/graphql",))
    settings = Settings.model_validate(
        {"REDIS_URL": cache_server.url(4), "fuel_networks": (network,)}
    )
    shown = StringIO()
    console = Console(file=shown, width=120)
    warm_ups = make(pause_seconds=30)
    vaults, shelf = addresses(2), Shelf(network.chain_id, later=False, request_size=200)
    await warm_ups.note_logins({"ada": vaults}, [network.chain_id])
    await warm_ups.offer(shelf, "login", vaults)
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=vaults[:1], given_up=(), again=vaults[1:])
    units = await units_of(settings, "ada")
    print_units(console, units)
    print_units(console, await units_of(settings, "nobody"))

    told = [" ".join(line.replace("│", " ").split()) for line in shown.getvalue().split("\n")]
    assert f"mainnet {vaults[0]} done 0" in told
    assert f"mainnet {vaults[1]} waiting 1" in told
    assert "no warm-up of the last ten minutes" in told
    assert [(unit["predicate"], unit["state"], unit["failures"]) for unit in as_json(units)] == [
        (vaults[0], "done", 0),
        (vaults[1], "waiting", 1),
    ]
