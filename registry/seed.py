"""A user with vaults to look at: for the demo and for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.networks import Network
from domain.values import Address
from registry.engine import open_engine
from registry.models import Predicate, User, UserToken, Workspace, predicate_members
from registry.models import workspace_users as workspace_users_table
from registry.records import ZERO_ADDRESS

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SIGNERS_OF_A_VAULT = 10


@dataclass(frozen=True, slots=True)
class SeededUser:
    """The demo's user and what is his, the newest vault first.

    Attributes:
        user_id: his uuid.
        user_address: for the header ``signeraddress``.
        token: a session token, for the header ``Authorization``; the row in ``user_tokens``
            makes it valid on the first network for a year.
        predicate_ids: his vaults' uuids.
        addresses: their addresses, in the same order.
    """

    user_id: str
    user_address: str
    token: str
    predicate_ids: tuple[str, ...]
    addresses: tuple[Address, ...]


def plan_user(seed: int = 1, predicates: int = 10) -> SeededUser:
    """Return the user that a seed stands for; the same seed gives the same user."""
    random = Random(seed)  # noqa: S311 - a repeatable demo, no secret
    return SeededUser(
        user_id=_uuid(random),
        user_address=_bytes32(random),
        token=_bytes32(random) + _bytes32(random)[2:],
        predicate_ids=tuple(_uuid(random) for _ in range(predicates)),
        addresses=tuple(_bytes32(random) for _ in range(predicates)),
    )


async def seed_user(
    database_url: str, network: Network, *, seed: int = 1, predicates: int = 10
) -> SeededUser:
    """Write the seeded user into a database whose tables exist; a second call changes nothing.

    Half of the vaults are his own, for the other half he only signs.

    Raises:
        ConfigurationError: the database URL is of no kind that we serve.
    """
    planned = plan_user(seed, predicates)
    engine = open_engine(database_url)
    try:
        async with engine.begin() as connection:
            present = select(User.id).where(User.id == planned.user_id)
            if (await connection.execute(present)).first() is None:
                await _write(connection, planned, network)
    finally:
        await engine.dispose()
    return planned


async def _write(connection: AsyncConnection, planned: SeededUser, network: Network) -> None:
    partner = plan_user(int(planned.user_id[:8], 16), 0)
    people = (planned, partner)
    await connection.execute(
        insert(User),
        [
            {"id": p.user_id, "name": f"demo-{p.user_id[:8]}", "address": p.user_address}
            for p in people
        ],
    )
    workspace_id = await _write_workspace(connection, planned)
    await connection.execute(insert(UserToken), [_token_row(planned, workspace_id, network)])
    await _write_predicates(connection, people, workspace_id)


async def _write_workspace(connection: AsyncConnection, planned: SeededUser) -> str:
    workspace_id = _uuid(Random(planned.user_id))  # noqa: S311 - a repeatable demo
    row = {
        "id": workspace_id,
        "name": f"demo-{planned.user_id[:8]}",
        "owner_id": planned.user_id,
        "single": True,
    }
    await connection.execute(insert(Workspace), [row])
    await connection.execute(
        insert(workspace_users_table),
        [{"workspace_id": workspace_id, "user_id": planned.user_id}],
    )
    return workspace_id


async def _write_predicates(
    connection: AsyncConnection, people: Sequence[SeededUser], workspace_id: str
) -> None:
    planned, partner = people
    configurable = _configurable(planned, partner)
    rows = []
    for place, predicate_id in enumerate(planned.predicate_ids):
        changed = _EPOCH - timedelta(hours=place)
        rows.append(
            {
                "id": predicate_id,
                "name": f"Vault {place + 1}",
                "predicate_address": planned.addresses[place],
                "configurable": configurable,
                "owner_id": people[place % 2].user_id,
                "workspace_id": workspace_id,
                "root": place == 0,
                "created_at": changed,
                "updated_at": changed,
            }
        )
    if rows:
        await connection.execute(insert(Predicate), rows)
        members = [
            {"predicate_id": predicate_id, "user_id": person.user_id}
            for predicate_id in planned.predicate_ids
            for person in people
        ]
        await connection.execute(insert(predicate_members), members)


def _configurable(planned: SeededUser, partner: SeededUser) -> str:
    listed = [planned.user_address, partner.user_address]
    listed += [ZERO_ADDRESS] * (_SIGNERS_OF_A_VAULT - len(listed))
    return json.dumps({"SIGNATURES_COUNT": 1, "SIGNERS": listed})


def _token_row(planned: SeededUser, workspace_id: str, network: Network) -> dict[str, object]:
    return {
        "id": _uuid(Random(planned.token)),  # noqa: S311 - a repeatable demo
        "token": planned.token,
        "user_id": planned.user_id,
        "workspace_id": workspace_id,
        "encoder": "FUEL",
        "payload": "",
        "expired_at": datetime.now(UTC).replace(tzinfo=None) + timedelta(days=365),
        "network": {"url": network.public_url, "chainId": network.chain_id},
    }


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def _bytes32(random: Random) -> str:
    return "0x" + format(random.getrandbits(256), "064x")
