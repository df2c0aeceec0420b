"""`python -m registry`: what an operator does to a database, once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from registry.store import Registry
from tests.conftest import require
from tests.databases import BakoDatabase, fresh_postgres, postgres_answers
from tests.process_support import clean_environment


def _run(action: str, database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "registry", action],
        env=clean_environment({"DATABASE_URL": database_url}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        return {row[0] for row in rows if row[0].startswith("balance_cache_idx")}


def test_the_schema_is_created_and_indexes_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "bako.sqlite3"
    url = f"sqlite:///{path}"

    assert _run("create-schema", url).returncode == 0
    assert _run("create-schema", url).returncode == 0
    assert _indexes(path) == set()
    assert _run("add-indexes", url).returncode == 0
    assert _indexes(path) == {"balance_cache_idx_user_tokens_token"}
    assert _run("remove-indexes", url).returncode == 0
    assert _indexes(path) == set()


def test_an_empty_postgresql_database_gets_the_same_tables() -> None:
    require(asyncio.run(postgres_answers()), "PostgreSQL")
    with asyncio.Runner() as runner:
        database = fresh_postgres()
        url = runner.run(database.__aenter__())
        try:
            codes = [_run(action, url).returncode for action in ("create-schema", "add-indexes")]
            token = runner.run(_a_token_is_written_and_read(url))
        finally:
            runner.run(database.__aexit__(None, None, None))
    assert codes == [0, 0]
    assert token


async def _a_token_is_written_and_read(url: str) -> bool:
    rows, registry = BakoDatabase(url), Registry.open(url)
    try:
        user = await rows.add_user()
        await rows.add_token(user)
        return await registry.session(user.token) is not None
    finally:
        await rows.close()
        await registry.close()


def test_a_failure_is_one_line_without_the_password(tmp_path: Path) -> None:
    for action, url in (
        ("add-indexes", f"sqlite:///{tmp_path}/empty.sqlite3"),
        ("add-indexes", "postgresql://user:geheim@127.0.0.1:9/bako"),
        ("create-schema", "mysql://user:geheim@127.0.0.1/bako"),
    ):
        done = _run(action, url)
        assert done.returncode == 2, (action, url, done.stderr)
        [line] = done.stderr.splitlines()
        assert line.startswith("registry: ")
        assert "geheim" not in line
