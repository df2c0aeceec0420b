"""Our statements use indexes on a database as large as a busy deployment's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import RegistryUnavailableError
from registry import migrate, queries
from registry.engine import open_engine
from tests.conftest import require
from tests.databases import bytes32, create_schema, fresh_postgres, postgres_answers

_FILL = (
    "SET session_replication_role = replica",  # the rows agree by construction
    "ALTER TABLE transactions SET UNLOGGED",
    "ALTER TABLE predicate_members SET UNLOGGED",
    # Built again after the filling: much quicker than row by row.
    "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey",
    "DROP INDEX idx_transactions_predicate_status",
    "DROP INDEX idx_transactions_created_by",
    """CREATE FUNCTION test_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
       AS $$ SELECT md5(kind || n::text)::uuid $$""",
    """INSERT INTO users (id, name, address, type, active, notify, first_login, settings)
       SELECT test_id('user', n), 'user-' || n, 'address-' || n, 'FUEL', true, false, false,
              '{"inactivesPredicates": []}'
       FROM generate_series(0, 9999) n""",
    """INSERT INTO predicates (id, name, predicate_address, configurable, root, owner_id)
       SELECT test_id('predicate', n), 'vault', 'address-' || n, '{}', false,
              test_id('user', n % 10000)
       FROM generate_series(0, 99999) n""",
    """INSERT INTO predicate_members (predicate_id, user_id)
       SELECT test_id('predicate', n), test_id('user', (n * 7 + m * 13) % 10000)
       FROM generate_series(0, 99999) n, generate_series(0, 1) m""",
    """INSERT INTO transactions (id, predicate_id, name, hash, status)
       SELECT test_id('transaction', n), test_id('predicate', n / 10), 't', 'h',
              CASE WHEN n % 20 = 0 THEN 'await_requirements' ELSE 'success' END
       FROM generate_series(0, 999999) n""",
    """INSERT INTO user_tokens (id, token, user_id)
       SELECT test_id('token', n), 'token-' || n, test_id('user', n)
       FROM generate_series(0, 9999) n""",
    "ALTER TABLE transactions ADD PRIMARY KEY (id)",
    "CREATE INDEX idx_transactions_predicate_status ON transactions (predicate_id, status)",
    "ANALYZE",
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
        for statement in _FILL:
            await connection.exec_driver_sql(statement)
        await connection.commit()
    await engine.dispose()


async def _user_and_predicates(connection: AsyncConnection) -> tuple[str, list[str]]:
    owner = await connection.execute(text("SELECT test_id('user', 77)"))
    user_id = str(owner.scalar_one())
    rows = await connection.execute(
        text("SELECT id FROM predicates WHERE owner_id = :u"), {"u": user_id}
    )
    return user_id, [str(row.id) for row in rows]


async def _plan(connection: AsyncConnection, statement: queries.Statement) -> list[dict[str, Any]]:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    answer = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}")
    raw = answer.scalar_one()
    [explained] = json.loads(raw) if isinstance(raw, str) else raw
    nodes = [explained["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", []))
    return nodes


def _scanned(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"].endswith("Seq Scan")}


async def test_the_login_allocation_and_reserved_coins_queries_use_indexes(
    large_database: str,
) -> None:
    engine = open_engine(large_database)
    async with engine.connect() as connection:
        user_id, predicate_ids = await _user_and_predicates(connection)
        assert len(predicate_ids) == 10
        statements = {
            "login": queries.NEWEST_FIRST.params(user_id=user_id),
            "allocation": queries.BY_ID.params(user_id=user_id),
            "reserved coins": queries.pending_drafts(predicate_ids),
            "one predicate": queries.predicate_and_relation(predicate_ids[0], user_id),
            "settings": queries.USER_SETTINGS.params(user_id=user_id),
            "known addresses": queries.addresses_known([bytes32() for _ in range(20)]),
        }
        plans = {name: await _plan(connection, s) for name, s in statements.items()}
    await engine.dispose()

    assert {name: _scanned(nodes) for name, nodes in plans.items()} == {
        name: set() for name in plans
    }
    rows = {name: nodes[0]["Actual Rows"] for name, nodes in plans.items()}
    assert rows["login"] == rows["allocation"] > len(predicate_ids)
    assert rows["one predicate"] == 1


async def test_added_indexes_serve_the_token_query_and_can_be_taken_back(
    large_database: str,
) -> None:
    engine = open_engine(large_database)

    async def scans_and_indexes() -> tuple[set[str], list[str]]:
        async with engine.connect() as connection:
            nodes = await _plan(connection, queries.session_of_token("token-77"))
            rows = await connection.execute(
                text("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'balance_cache_idx%'")
            )
            return _scanned(nodes), [row.indexname for row in rows]

    assert await scans_and_indexes() == ({"user_tokens"}, [])
    await migrate.add_indexes(large_database)
    await migrate.add_indexes(large_database)
    assert await scans_and_indexes() == (set(), ["balance_cache_idx_user_tokens_token"])
    await migrate.remove_indexes(large_database)
    assert await scans_and_indexes() == ({"user_tokens"}, [])
    await engine.dispose()


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


async def test_adding_indexes_to_a_database_without_bakos_tables_is_a_clear_error() -> None:
    require(await postgres_answers(), "PostgreSQL")
    async with fresh_postgres() as url:
        with pytest.raises(RegistryUnavailableError, match="NoSuchTable"):
            await migrate.add_indexes(url)
