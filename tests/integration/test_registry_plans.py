"""Our statements use indexes on a database as large as a busy deployment's."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import RegistryUnavailableError
from registry import migrate
from registry.engine import open_engine
from registry.store import Registry
from tests.conftest import require
from tests.databases import bytes32, create_schema, fresh_postgres, postgres_answers

_FILL = (
    "SET session_replication_role = replica",  # the rows agree by construction
    "ALTER TABLE transactions SET UNLOGGED",
    "ALTER TABLE predicate_members SET UNLOGGED",
    "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey",
    """CREATE FUNCTION test_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
       AS $$ SELECT md5(kind || n::text)::uuid $$""",
    """CREATE FUNCTION test_address(n bigint) RETURNS text IMMUTABLE LANGUAGE sql
       AS $$ SELECT '0x' || md5('low' || n::text) || md5('high' || n::text) $$""",
    """INSERT INTO users (id, name, address, type, provider, created_at)
       SELECT test_id('user', n), 'user-' || n, test_address(-n), 'FUEL', '', now()
       FROM generate_series(1, 10000) n""",
    """INSERT INTO workspace (id, name, permissions, owner_id, created_at, single)
       SELECT test_id('workspace', n), 'w', '{}', test_id('user', n), now(), true
       FROM generate_series(1, 10000) n""",
    """INSERT INTO predicates (id, name, predicate_address, configurable, owner_id, workspace_id,
                               created_at, updated_at)
       SELECT test_id('predicate', n), 'vault', test_address(n), '{}', test_id('user', owner),
              test_id('workspace', owner), now(), now() - n * interval '1 second'
       FROM generate_series(0, 99999) n, LATERAL (SELECT 1 + n % 10000 AS owner) o""",
    """INSERT INTO predicate_members (predicate_id, user_id)
       SELECT test_id('predicate', n), test_id('user', 1 + (n * 7 + m * 13) % 10000)
       FROM generate_series(0, 99999) n, generate_series(0, 1) m""",
    """INSERT INTO transactions (id, predicate_id, name, hash, status, tx_data, resume, created_at,
                                 network)
       SELECT test_id('transaction', n), test_id('predicate', n / 10), 't', 'h',
              CASE WHEN n % 20 = 0 THEN 'await_requirements' WHEN n % 20 = 1 THEN 'pending_sender'
                   ELSE 'success' END,
              '{"outputs": []}', '{}', now(),
              CASE WHEN n % 20 < 2 THEN
                '{"url": "https://mainnet.fuel.network/v1/graphql", "chainId": 9889}'::jsonb END
       FROM generate_series(0, 999999) n""",
    """INSERT INTO user_tokens (id, token, user_id, created_at, encoder, payload, workspace_id)
       SELECT test_id('token', n), 'token-' || n, test_id('user', n), now(), 'FUEL', '',
              test_id('workspace', n)
       FROM generate_series(1, 10000) n""",
    "ALTER TABLE transactions ADD PRIMARY KEY (id)",
)


@pytest.fixture(scope="module")
def large_database() -> Iterator[str]:
    require(asyncio.run(postgres_answers()), "PostgreSQL")
    with asyncio.Runner() as runner:
        database = fresh_postgres()
        url = runner.run(database.__aenter__())
        try:
            runner.run(create_schema(url))
            runner.run(_fill(url))
            yield url
        finally:
            runner.run(database.__aexit__(None, None, None))


async def _fill(url: str) -> None:
    engine = open_engine(url, statement_seconds=None)
    async with engine.connect() as connection:
        indexes = text(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = 'transactions' AND indexname LIKE 'idx%'"
        )
        built_after = (await connection.execute(indexes)).all()  # much quicker than row by row
        statements = [
            *(f"DROP INDEX {index.indexname}" for index in built_after),
            *_FILL,
            *(index.indexdef for index in built_after),
            "ANALYZE",
        ]
        for statement in statements:
            await connection.exec_driver_sql(statement)
        await connection.commit()
    await engine.dispose()


Sent = tuple[str, Sequence[object]]


async def _sent_by(url: str, work: Callable[[Registry], Awaitable[object]]) -> list[Sent]:
    """Return the statements that the registry sends for a piece of work, with their values."""
    engine = open_engine(url)
    sent: list[Sent] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _note(_c: object, _r: object, statement: str, values: Sequence[object], *_: object) -> None:
        sent.append((statement, values))

    registry = Registry(engine)
    try:
        await work(registry)
    finally:
        await registry.close()
    return sent


async def _plan(connection: AsyncConnection, sent: Sent, mode: str) -> list[dict[str, Any]]:
    """Return the nodes of the plan of a prepared statement: what it did, run for real."""
    statement, values = sent
    literals = ", ".join(f"""'{str(value).replace("'", "''")}'""" for value in values)
    await connection.exec_driver_sql(f"SET plan_cache_mode = {mode}")
    await connection.exec_driver_sql(f"PREPARE looked_at AS {statement}")
    answer = await connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked_at ({literals})"
    )
    await connection.exec_driver_sql("DEALLOCATE looked_at")
    raw = answer.scalar_one()
    [explained] = json.loads(raw) if isinstance(raw, str) else raw
    nodes = [explained["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", []))
    return nodes


async def _nodes(url: str, sent: Sequence[Sent]) -> list[dict[str, Any]]:
    """Return the nodes of all plans: for these values, and for any, to which a server changes."""
    engine = open_engine(url)
    nodes: list[dict[str, Any]] = []
    async with engine.connect() as connection:
        for one in sent:
            for mode in ("force_custom_plan", "force_generic_plan"):
                nodes += await _plan(connection, one, mode)
    await engine.dispose()
    return nodes


def _scanned(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"].endswith("Seq Scan")}


def _most_rows(nodes: list[dict[str, Any]]) -> float:
    """Return how many rows the busiest node looked at, those included that it left out."""
    return max(
        float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes
    )


def _id(kind: str, number: int) -> str:
    return str(UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()))


def _address(number: int) -> str:
    halves = (f"low{number}", f"high{number}")
    return "0x" + "".join(
        hashlib.md5(half.encode(), usedforsecurity=False).hexdigest() for half in halves
    )


USER = _id("user", 77)
PREDICATES = [_id("predicate", number) for number in range(76, 100_000, 10_000)]


async def _login(registry: Registry) -> None:
    # 10 owned, 20 signed for, none of them both.
    assert len(await registry.addresses_of_user(USER)) == 30


async def _page(registry: Registry) -> None:
    records = await registry.predicates_of_user(USER)
    assert {record.predicate_id for record in records} > set(PREDICATES)
    assert any(record.drafts for record in records)


async def _one_predicate(registry: Registry) -> None:
    record = await registry.predicate_of_user(PREDICATES[0], USER, "0x")
    assert record.address == _address(76)
    await registry.predicate(PREDICATES[0])


async def _event(registry: Registry) -> None:
    asked = [*(bytes32() for _ in range(20)), _address(76)]
    assert list(await registry.known_addresses(asked)) == [_address(76)]


async def _workspace(registry: Registry) -> None:
    assert len(await registry.addresses_of_workspace(_id("workspace", 77))) == 10


async def _invalidation(registry: Registry) -> None:
    assert len(await registry.every_address_of_user(USER)) == 30


async def _session(registry: Registry) -> None:
    assert await registry.session("token-77") is not None


@pytest.mark.parametrize(
    "work",
    [_login, _page, _one_predicate, _event, _workspace, _invalidation],
)
async def test_no_query_reads_a_table_from_end_to_end(
    large_database: str, work: Callable[[Registry], Awaitable[None]]
) -> None:
    sent = await _sent_by(large_database, work)

    nodes = await _nodes(large_database, sent)
    assert _scanned(nodes) == set()
    assert _most_rows(nodes) < 1_000


async def test_added_indexes_serve_the_token_query_and_can_be_taken_back(
    large_database: str,
) -> None:
    async def scans_and_indexes() -> tuple[set[str], list[str]]:
        engine = open_engine(large_database)
        async with engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'balance_cache_idx%'")
            )
            indexes = [row.indexname for row in rows]
        await engine.dispose()
        sent = await _sent_by(large_database, _session)
        return _scanned(await _nodes(large_database, sent)), indexes

    assert await scans_and_indexes() == ({"user_tokens"}, [])
    await migrate.add_indexes(large_database)
    await migrate.add_indexes(large_database)
    assert await scans_and_indexes() == (set(), ["balance_cache_idx_user_tokens_token"])
    await migrate.remove_indexes(large_database)
    assert await scans_and_indexes() == ({"user_tokens"}, [])


async def test_an_index_that_a_bako_database_has_lost_is_added() -> None:
    require(await postgres_answers(), "PostgreSQL")
    async with fresh_postgres() as url:
        await create_schema(url)
        engine = open_engine(url)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DROP INDEX idx_predicate_members_user")
            await connection.exec_driver_sql(
                "CREATE INDEX partial ON predicate_members (user_id) WHERE user_id IS NULL"
            )
        await migrate.add_indexes(url)
        async with engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'balance_cache_idx%'")
            )
            added = {row.indexname for row in rows}
        await engine.dispose()
    assert added == {
        "balance_cache_idx_predicate_members_user_id",
        "balance_cache_idx_user_tokens_token",
    }


async def _contents(url: str) -> dict[str, set[str]]:
    """Return all columns by table, all indexes, and what Bako notes of its own migrations."""
    asked = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = 'public'",
        "migrations": "SELECT id, name FROM migrations",
    }
    engine = open_engine(url)
    async with engine.connect() as connection:
        found = {
            what: {" ".join(map(str, row)) for row in await connection.execute(text(statement))}
            for what, statement in asked.items()
        }
    await engine.dispose()
    return found


async def test_a_bako_database_gets_what_the_documents_say_and_is_left_as_it_was() -> None:
    require(await postgres_answers(), "PostgreSQL")
    async with fresh_postgres() as url:
        await create_schema(url)
        before = await _contents(url)
        await migrate.add_indexes(url)
        added = await _contents(url)
        await migrate.remove_indexes(url)
        after = await _contents(url)

    new = {what: added[what] - before[what] for what in before}
    tables = {column.split()[0] for column in new["columns"]}
    documented = (Path(__file__).parents[2] / "docs" / "bako.md").read_text(encoding="utf-8")
    assert "balance_cache_bako_version" in tables
    assert {table for table in tables if table.startswith("balance_cache_")} == tables
    assert {table for table in tables if f"`{table}`" in documented} == tables
    on_bakos = {tuple(i.split()[:2]) for i in new["indexes"] if i.split()[0] not in tables}
    assert on_bakos == {("user_tokens", "balance_cache_idx_user_tokens_token")}
    assert new["migrations"] == set()
    for what, things in before.items():
        assert things <= added[what]
        # What remembers that nothing of ours is there stays, empty.
        left = {thing.split()[0] for thing in after[what] ^ things}
        assert left <= {"balance_cache_bako_version"}


async def test_adding_indexes_to_a_database_without_bakos_tables_is_a_clear_error() -> None:
    require(await postgres_answers(), "PostgreSQL")
    async with fresh_postgres() as url:
        with pytest.raises(RegistryUnavailableError, match="NoSuchTable"):
            await migrate.add_indexes(url)
