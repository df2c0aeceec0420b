"""The users of a login storm, written into a registry from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert

from domain.values import Address
from registry.engine import open_engine
from registry.models import Predicate, User, Workspace, predicate_members
from registry.store import Registry

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_USERS_OF_A_SHARED_VAULT = 3
_PORTION = 500


@dataclass(frozen=True, slots=True)
class Population:
    """Who logs in.

    Attributes:
        users: their ids.
        vaults: of each user, in the same order.
    """

    users: tuple[str, ...]
    vaults: tuple[tuple[Address, ...], ...]

    @property
    def distinct(self) -> tuple[Address, ...]:
        """Every vault once."""
        return tuple(dict.fromkeys(address for some in self.vaults for address in some))


def population(users: int, vaults: int, shared_part: float) -> Population:
    """Return users with so many vaults each, a part of which have three users."""
    shared = round(vaults * shared_part)
    owned = vaults - shared
    pool = max(1, users * shared // _USERS_OF_A_SHARED_VAULT)
    of_users = [
        (
            *(_address(user * owned + place) for place in range(owned)),
            *(_address(10**9 + (user * shared + place) % pool) for place in range(shared)),
        )
        for user in range(users)
    ]
    return Population(tuple(_uuid(1, user) for user in range(users)), tuple(of_users))


async def write(database_url: str, people: Population) -> None:
    """Create the tables and write the users and their vaults."""
    registry = Registry.open(database_url)
    await registry.create_schema()
    await registry.close()
    users = [
        {"id": user, "name": f"user-{place}", "address": _address(2 * 10**9 + place)}
        for place, user in enumerate(people.users)
    ]
    workspace = {"id": _uuid(2, 0), "name": "storm", "owner_id": people.users[0], "single": True}
    ids = {address: _uuid(3, place) for place, address in enumerate(people.distinct)}
    owners = {a: u for u, some in zip(people.users, people.vaults, strict=True) for a in some}
    predicates = [
        {
            "id": ids[address],
            "name": f"vault-{place}",
            "predicate_address": address,
            "configurable": '{"SIGNATURES_COUNT": 1, "SIGNERS": []}',
            "owner_id": owners[address],
            "workspace_id": workspace["id"],
            "root": False,
            "created_at": _EPOCH - timedelta(seconds=place),
            "updated_at": _EPOCH - timedelta(seconds=place),
        }
        for place, address in enumerate(people.distinct)
    ]
    members = [
        {"predicate_id": ids[address], "user_id": user}
        for user, some in zip(people.users, people.vaults, strict=True)
        for address in some
    ]
    engine = open_engine(database_url)
    try:
        async with engine.begin() as connection:
            for table, rows in (
                (User, users),
                (Workspace, [workspace]),
                (Predicate, predicates),
                (predicate_members, members),
            ):
                for part in _portions(rows):
                    await connection.execute(insert(table), part)
    finally:
        await engine.dispose()


def _portions(rows: Sequence[dict[str, object]]) -> list[list[dict[str, object]]]:
    return [list(rows[start : start + _PORTION]) for start in range(0, len(rows), _PORTION)]


def _address(number: int) -> Address:
    return "0x" + format(number + 1, "064x")


def _uuid(kind: int, number: int) -> str:
    return str(UUID(int=(kind << 100) + number, version=4))
