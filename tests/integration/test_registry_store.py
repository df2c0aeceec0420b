from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from domain.bech32 import encode_fuel_bech32
from domain.errors import (
    ConfigurationError,
    RegistryUnavailableError,
    UnknownPredicateError,
    UnknownUserError,
)
from domain.networks import Network
from domain.values import checksum_address
from registry.models import Transaction, User
from registry.records import Reservation
from registry.seed import plan_user, seed_user
from registry.store import Registry
from supervisor.ports import free_port
from tests.conftest import require
from tests.databases import (
    NETWORK_URL,
    BakoDatabase,
    bytes32,
    coin,
    create_schema,
    fresh_postgres,
    postgres_answers,
    utc_now,
)

NESTED = "[" * 1_500 + "]" * 1_500
"""Deeper than Python reads JSON, not too deep for PostgreSQL."""

FUEL_BECH32 = "fuel1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sejpetn"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("registry") / "bako.sqlite3"
        url = f"sqlite:///{path}"
        asyncio.run(create_schema(url))
        yield url
        return
    require(asyncio.run(postgres_answers()), "PostgreSQL")
    with asyncio.Runner() as runner:
        database = fresh_postgres()
        url = runner.run(database.__aenter__())
        try:
            runner.run(create_schema(url))
            yield url
        finally:
            runner.run(database.__aexit__(None, None, None))


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    registry = Registry.open(database_url)
    yield registry
    await registry.close()


@pytest.fixture
async def bako(database_url: str) -> AsyncIterator[BakoDatabase]:
    database = BakoDatabase(database_url)
    yield database
    await database.close()


async def test_predicates_of_a_user_are_owned_or_signed_for_and_newest_first(
    registry: Registry, bako: BakoDatabase
) -> None:
    user, other = await bako.add_user(), await bako.add_user()
    addresses = [bytes32() for _ in range(4)]
    now = utc_now()
    await bako.add_predicate(
        user, members=[user, other], predicate_address=addresses[0], updated_at=now
    )
    await bako.add_predicate(
        other,
        members=[other, user],
        predicate_address=addresses[1],
        updated_at=now + timedelta(hours=1),
    )
    await bako.add_predicate(user, predicate_address=addresses[2], updated_at=now - timedelta(1))
    await bako.add_predicate(other, members=[other], predicate_address=addresses[3])

    found = await registry.addresses_of_user(user.user_id)

    assert list(found) == [addresses[1], addresses[0], addresses[2]]
    assert list(await registry.addresses_of_user(user.user_id, 2)) == [addresses[1], addresses[0]]


async def test_users_who_are_asked_for_at_one_time_are_looked_up_together_each_by_himself(
    registry: Registry, bako: BakoDatabase
) -> None:
    hidden, shared = bytes32(), bytes32()
    users = [await bako.add_user(), await bako.add_user(inactive=[hidden])]
    own = [bytes32(), bytes32()]
    now = utc_now()
    for user, address in zip(users, own, strict=True):
        await bako.add_predicate(user, predicate_address=address, updated_at=now)
    await bako.add_predicate(users[0], members=users, predicate_address=shared, updated_at=None)
    await bako.add_predicate(users[1], predicate_address=hidden, updated_at=None)
    gone = await bako.add_user()
    statements: list[str] = []

    @event.listens_for(registry._engine.sync_engine, "before_cursor_execute")
    def _note(_c: object, _r: object, statement: str, *_: object) -> None:
        statements.append(statement)

    first, *told = await asyncio.gather(
        registry.addresses_of_user(users[0].user_id),  # goes at once, the others gather meanwhile
        registry.addresses_of_user(users[1].user_id.upper()),
        registry.addresses_of_user(users[0].user_id, 1),
        registry.addresses_of_user(str(uuid4())),
        registry.every_address_of_user(users[1].user_id),
        registry.addresses_of_user("no uuid"),
        registry.addresses_of_user(gone.user_id),
        return_exceptions=True,
    )

    known = [one if isinstance(one, list) else type(one) for one in told]
    assert first == [own[0], shared]
    assert known[:3] == [[own[1], shared], [own[0]], UnknownUserError]
    assert isinstance(known[3], list)
    assert known[3][0] == own[1]
    assert set(known[3]) == {own[1], shared, hidden}
    assert known[4:] == [UnknownUserError, []]
    assert len(statements) == 4, "two for who came first, two for all the others"


async def test_several_users_are_looked_up_in_one_question_and_unknown_ones_are_left_out(
    registry: Registry, bako: BakoDatabase
) -> None:
    hidden, shared, own = bytes32(), bytes32(), bytes32()
    users = [await bako.add_user(), await bako.add_user(inactive=[hidden])]
    nobody = await bako.add_user()
    for address in (shared, hidden):
        await bako.add_predicate(users[0], members=users, predicate_address=address)
    await bako.add_predicate(users[1], predicate_address=own)
    statements: list[str] = []

    @event.listens_for(registry._engine.sync_engine, "before_cursor_execute")
    def _note(_c: object, _r: object, statement: str, *_: object) -> None:
        statements.append(statement)

    written = users[1].user_id.upper()
    found = await registry.addresses_of_users(
        [users[0].user_id, written, str(uuid4()), "no uuid", nobody.user_id]
    )

    assert {user: set(some) for user, some in found.items()} == {
        users[0].user_id: {shared, hidden},
        written: {shared, own},
        nobody.user_id: set(),
    }
    assert len(statements) == 2
    assert await registry.addresses_of_users(["no uuid"]) == {}


async def test_what_was_never_changed_comes_last(registry: Registry, bako: BakoDatabase) -> None:
    user, never, long_ago = await bako.add_user(), bytes32(), bytes32()
    await bako.add_predicate(user, predicate_address=never, updated_at=None)
    await bako.add_predicate(
        user, predicate_address=long_ago, updated_at=utc_now() - timedelta(900)
    )

    assert list(await registry.addresses_of_user(user.user_id)) == [long_ago, never]


async def test_ids_are_found_in_any_way_of_writing_them(
    registry: Registry, bako: BakoDatabase
) -> None:
    user, address = await bako.add_user(), bytes32()
    workspace = await bako.add_workspace(user)
    predicate_id = await bako.add_predicate(user, predicate_address=address, workspace_id=workspace)

    for written in (str.upper, "{{{}}}".format, "urn:uuid:{}".format, _without_dashes):
        predicate, owner, place = written(predicate_id), written(user.user_id), written(workspace)
        assert (await registry.predicate(predicate)).predicate_id == predicate_id
        record = await registry.predicate_of_user(predicate, owner, "nobody's address")
        assert record.predicate_id == predicate_id
        assert list(await registry.addresses_of_user(owner)) == [address]
        assert list(await registry.addresses_of_workspace(place)) == [address]


def _without_dashes(text_id: str) -> str:
    return text_id.replace("-", "")


async def test_deleted_and_inactive_predicates_are_left_out(
    registry: Registry, bako: BakoDatabase
) -> None:
    inactive, kept = bytes32(), bytes32()
    user = await bako.add_user(inactive=[inactive])
    await bako.add_predicate(user, predicate_address="0x" + inactive[2:].upper())
    await bako.add_predicate(user, deleted_at=utc_now())
    await bako.add_predicate(user, predicate_address=kept)

    assert list(await registry.addresses_of_user(user.user_id)) == [kept]
    assert set(await registry.every_address_of_user(user.user_id)) == {kept, inactive}
    assert [r.address for r in await registry.predicates_of_user(user.user_id)] == [kept]


async def test_legacy_addresses_are_decoded_and_unreadable_ones_counted(
    registry: Registry, bako: BakoDatabase
) -> None:
    user = await bako.add_user()
    await bako.add_predicate(user, predicate_address=FUEL_BECH32)
    await bako.add_predicate(user, predicate_address="0xfuel139e53")

    assert list(await registry.addresses_of_user(user.user_id)) == ["0x" + bytes(range(32)).hex()]
    assert registry.unreadable_rows == 1
    records = await registry.predicates_of_user(user.user_id)
    assert sorted(r.stored_address for r in records if r.address is None) == ["0xfuel139e53"]


@pytest.mark.parametrize("settings", [None, {}, {"inactivesPredicates": None}, [], "odd"])
async def test_odd_user_settings_hide_nothing(
    registry: Registry, bako: BakoDatabase, settings: Any
) -> None:
    user = await bako.add_user(settings=settings)
    address = bytes32()
    await bako.add_predicate(user, predicate_address=address)

    assert list(await registry.addresses_of_user(user.user_id)) == [address]


@pytest.mark.parametrize("user_id", [str(UUID(int=1)), "nobody", "", "' OR 1=1 --"])
async def test_an_unknown_user_is_an_error_not_an_empty_list(
    registry: Registry, user_id: str
) -> None:
    with pytest.raises(UnknownUserError):
        await registry.addresses_of_user(user_id)
    with pytest.raises(UnknownUserError):
        await registry.every_address_of_user(user_id)


async def test_a_deleted_user_is_unknown(registry: Registry, bako: BakoDatabase) -> None:
    user = await bako.add_user(deleted_at=utc_now())
    with pytest.raises(UnknownUserError):
        await registry.predicates_of_user(user.user_id)


async def test_allocation_goes_by_ascending_predicate_id(
    registry: Registry, bako: BakoDatabase
) -> None:
    user = await bako.add_user()
    ids = [await bako.add_predicate(user) for _ in range(5)]

    assert [r.predicate_id for r in await registry.predicates_of_user(user.user_id)] == sorted(ids)


async def test_a_predicate_is_shown_to_its_owner_member_and_signer_alone(
    registry: Registry, bako: BakoDatabase
) -> None:
    owner, member, signer, stranger = [await bako.add_user() for _ in range(4)]
    predicate_id = await bako.add_predicate(
        owner,
        members=[member],
        configurable=json.dumps({"SIGNERS": [owner.address, signer.address]}),
    )

    for user in (owner, member, signer):
        record = await registry.predicate_of_user(predicate_id, user.user_id, user.address)
        assert record.predicate_id == predicate_id
    with pytest.raises(UnknownPredicateError) as strangers:
        await registry.predicate_of_user(predicate_id, stranger.user_id, stranger.address)
    absent = str(uuid4())
    with pytest.raises(UnknownPredicateError) as nobodys:
        await registry.predicate_of_user(absent, stranger.user_id, stranger.address)
    assert type(strangers.value) is type(nobodys.value)
    assert (await registry.predicate(predicate_id)).predicate_id == predicate_id


@pytest.mark.parametrize("predicate_id", ["", "x", "' OR 1=1 --", "../..", str(UUID(int=1))])
async def test_an_id_that_is_none_is_an_unknown_predicate(
    registry: Registry, predicate_id: str
) -> None:
    with pytest.raises(UnknownPredicateError):
        await registry.predicate(predicate_id)


async def test_reserved_coins_are_coin_outputs_of_pending_transactions_on_the_network(
    registry: Registry, bako: BakoDatabase
) -> None:
    owner = await bako.add_user()
    predicate_id = await bako.add_predicate(owner)
    asset, other = bytes32(), bytes32()
    await bako.add_transaction(predicate_id, [coin(asset, "0x64"), coin(other, "7")])
    await bako.add_transaction(
        predicate_id, [coin(asset, 5), coin(asset, "0x9", kind=2)], status="pending_sender"
    )
    await bako.add_transaction(
        predicate_id,
        [coin(asset, 1)],
        network_url="http://user:secret@mainnet.fuel.network/v1/graphql",
    )
    for change in (
        {"status": "success"},
        {"network_url": "https://testnet.fuel.network/v1/graphql"},
        {"deleted_at": utc_now()},
    ):
        await bako.add_transaction(predicate_id, [coin(asset, 1000)], **change)

    one = await registry.predicate(predicate_id)
    his = await registry.predicate_of_user(predicate_id, owner.user_id, owner.address)
    [among_all] = await registry.predicates_of_user(owner.user_id)

    assert one == his == among_all
    assert one.reservation({NETWORK_URL}) == Reservation({asset: 106, other: 7}, unreadable=0)
    assert one.reservation({"https://nowhere.example"}) == Reservation()


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        NESTED,
        "odd",
        [1],
        [coin("0x1", 1)],
        [coin(bytes32(), -1)],
        [coin(bytes32(), None)],
        [{"type": 0}],
    ],
)
async def test_a_draft_that_cannot_be_read_is_counted_and_the_others_still_reserve(
    registry: Registry, bako: BakoDatabase, outputs: Any
) -> None:
    predicate_id = await bako.add_predicate(await bako.add_user())
    asset = bytes32()
    await bako.add_transaction(predicate_id, outputs)
    await bako.add_transaction(predicate_id, [coin(asset, 3)])

    record = await registry.predicate(predicate_id)

    assert record.reservation({NETWORK_URL}) == Reservation({asset: 3}, unreadable=1)


async def test_a_row_of_json_that_python_cannot_read_makes_no_other_unreadable(
    registry: Registry, bako: BakoDatabase
) -> None:
    user, address, asset = await bako.add_user(), bytes32(), bytes32()
    predicate_id = await bako.add_predicate(
        user, predicate_address=address, configurable='{"SIGNERS": ' + NESTED + "}"
    )
    await bako.add_transaction(predicate_id, [coin(asset, 3)])
    odd = await bako.add_transaction(predicate_id, [])
    await bako.add_token(user)
    await bako.write_json(Transaction.tx_data, odd, '{"outputs": ' + NESTED + "}")
    await bako.write_json(User.settings, user.user_id, NESTED)

    [record] = await registry.predicates_of_user(user.user_id)
    session = await registry.session(user.token)

    assert record.reservation({NETWORK_URL}) == Reservation({asset: 3}, unreadable=1)
    assert (record.address, record.members, record.minimum_signers) == (address, 1, 1)
    assert session is not None


async def test_a_token_names_its_user_and_his_network(
    registry: Registry, bako: BakoDatabase
) -> None:
    user = await bako.add_user()
    await bako.add_token(user)

    session = await registry.session(user.token)

    assert session is not None
    assert (session.user_id, session.user_address) == (user.user_id, user.address)
    assert (session.chain_id, session.network_url) == (9889, NETWORK_URL)
    assert await registry.session("another") is None


async def test_known_addresses_are_those_that_predicates_have(
    registry: Registry, bako: BakoDatabase
) -> None:
    user = await bako.add_user()
    workspace_id = await bako.add_workspace(user)
    known, unknown = bytes32(), bytes32()
    await bako.add_predicate(user, predicate_address=known, workspace_id=workspace_id)
    legacy, checksum, upper = bytes32(), bytes32(), bytes32()
    await bako.add_predicate(user, predicate_address="0x" + upper[2:].upper())
    await bako.add_predicate(user, predicate_address=encode_fuel_bech32(legacy))
    await bako.add_predicate(user, predicate_address=checksum_address(checksum))

    found = await registry.known_addresses([unknown, known, known, checksum, upper, legacy])

    assert list(found) == [known, checksum, upper, legacy]
    assert list(await registry.known_addresses([])) == []
    assert list(await registry.addresses_of_workspace(workspace_id)) == [known]
    assert list(await registry.addresses_of_workspace(str(uuid4()))) == []


async def test_more_addresses_than_a_statement_has_place_for_are_asked_about(
    registry: Registry, bako: BakoDatabase
) -> None:
    address = bytes32()
    await bako.add_predicate(await bako.add_user(), predicate_address=address)

    known = await registry.known_addresses([*(f"0x{n:064x}" for n in range(11_000)), address])

    assert list(known) == [address]


async def test_all_that_a_users_page_needs_is_one_statement_however_much_it_is(
    registry: Registry, bako: BakoDatabase
) -> None:
    statements: list[str] = []
    event.listen(
        registry._engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )
    asset = bytes32()
    for vaults in (0, 1, 30):
        user = await bako.add_user()
        for number in range(vaults):
            predicate_id = await bako.add_predicate(user, members=[user])
            for _ in range(number % 3):
                await bako.add_transaction(predicate_id, [coin(asset, 2)])
        statements.clear()

        records = await registry.predicates_of_user(user.user_id)

        assert len(statements) == 1
        assert len({r.predicate_id for r in records}) == len(records) == vaults
        assert sum(len(r.drafts) for r in records) == sum(n % 3 for n in range(vaults))


async def test_the_seeded_user_owns_or_signs_for_ten_vaults_and_is_seeded_once(
    registry: Registry, database_url: str
) -> None:
    network = Network(0, "testnet", ("https://u:p@testnet.example/v1/graphql",))

    seeded = await seed_user(database_url, network, seed=7)
    again = await seed_user(database_url, network, seed=7)

    assert seeded == again == plan_user(7)
    assert tuple(await registry.addresses_of_user(seeded.user_id)) == seeded.addresses
    session = await registry.session(seeded.token)
    assert session is not None
    assert session.chain_id == 0
    assert session.network_url == "https://testnet.example/v1/graphql"
    for predicate_id in seeded.predicate_ids:
        await registry.predicate_of_user(predicate_id, seeded.user_id, seeded.user_address)


async def test_a_database_that_is_away_is_told_without_its_password() -> None:
    registry = Registry.open(f"postgresql://user:geheim@127.0.0.1:{free_port()}/bako")
    with pytest.raises(RegistryUnavailableError) as caught:
        await registry.check()
    await registry.close()
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "database_url",
    ["mysql://user:geheim@db/bako", "geheim", "sqlite:////no/such/folder/bako.sqlite3"],
)
def test_a_database_url_of_no_use_is_refused_without_repeating_it(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        Registry.open(database_url)
    assert "geheim" not in str(caught.value)


async def test_an_empty_database_is_told_as_such(tmp_path: Path) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path}/empty.sqlite3")
    with pytest.raises(RegistryUnavailableError):
        await registry.addresses_of_user(str(uuid4()))
    await registry.close()
