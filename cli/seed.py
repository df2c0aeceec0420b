"""A user with ten vaults to look at, and the words to ask for them with."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
from rich.console import Console

from cli.demo.nodes import SimulatedNode
from config.settings import Settings
from devnet.options import BASE_ASSET_ID
from domain.errors import ConfigurationError, RegistryUnavailableError, UnknownUserError
from domain.values import Address, AssetId
from registry.seed import SeededUser, seed_user
from registry.store import Registry

BASE_ASSET: AssetId = BASE_ASSET_ID
OTHER_ASSET: AssetId = "0x" + "5d" * 32
STARTING_AMOUNT = 1_000_000_000
"""What each vault holds of both assets, in base units."""

_NOBODY = "00000000-0000-4000-8000-000000000000"


async def seed(settings: Settings, *, number: int, devnet: str | None) -> SeededUser:
    """Add the user of this number, and give his vaults coins where there is a simulated node.

    Raises:
        ConfigurationError: the database or the simulated node does not answer.
    """
    user = await seed_registry(settings, number)
    if devnet is not None:
        await give_coins(SimulatedNode(devnet), user.addresses)
    return user


def print_seeded(console: Console, user: SeededUser) -> None:
    """Print how to ask for this user's balances."""
    for line in as_the_user("http://127.0.0.1:8080", user):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def as_json(user: SeededUser) -> dict[str, object]:
    """Return what a program needs to ask as this user."""
    return {
        "userId": user.user_id,
        "userAddress": user.user_address,
        "token": user.token,
        "predicateIds": user.predicate_ids,
        "vaults": user.addresses,
    }


async def seed_registry(settings: Settings, number: int) -> SeededUser:
    """Add a user with ten vaults, signed in on the first network.

    Raises:
        ConfigurationError: the database does not answer.
    """
    registry = Registry.open(settings.database_url)
    try:
        if not await _has_tables(registry):
            await registry.create_schema()
    except RegistryUnavailableError as error:
        raise ConfigurationError(f"DATABASE_URL: {error}") from None
    finally:
        await registry.close()
    return await seed_user(settings.database_url, settings.fuel_networks[0], seed=number)


async def _has_tables(registry: Registry) -> bool:
    """Tell whether the tables are there: Bako's own are left as they are."""
    try:
        await registry.addresses_of_user(_NOBODY)
    except UnknownUserError:
        return True
    except RegistryUnavailableError:
        return False
    return True


async def give_coins(node: SimulatedNode, addresses: Iterable[Address]) -> None:
    """Give vaults their starting coins, and the node's connection back.

    Raises:
        ConfigurationError: the simulated node does not answer.
    """
    coins = [(BASE_ASSET, STARTING_AMOUNT), (OTHER_ASSET, STARTING_AMOUNT)]
    try:
        await node.give(dict.fromkeys(addresses, coins))
    except httpx.HTTPError as error:
        raise ConfigurationError(f"the simulated node {node.origin}: {error}") from error
    finally:
        await node.close()


def as_the_user(api: str, user: SeededUser) -> list[str]:
    """Return lines for people: what to ask the API, as this user."""
    curl = '  curl -H "Authorization: $TOKEN" -H "signeraddress: $USER"'
    return [
        "",
        "As the user who owns ten vaults:",
        "",
        f"  TOKEN={user.token}",
        f"  USER={user.user_address}",
        f"{curl} {api}/user/allocation",
        f"{curl} {api}/predicate/reserved-coins/{user.predicate_ids[0]}",
    ]
